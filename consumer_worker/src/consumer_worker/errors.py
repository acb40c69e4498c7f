"""What ends the worker."""


class StartRefused(Exception):
    """Something the worker needs is missing or does not let it in; the text says what, and what to do."""
