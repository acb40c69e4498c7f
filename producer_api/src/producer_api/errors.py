"""The error that ends the API before it starts."""


class StartRefused(Exception):
    """The API cannot start: something it needs is missing or refuses access. The text says what to do."""
