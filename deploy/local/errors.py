"""What ends the local stack."""


class LocalStackError(Exception):
    """Something the local stack needs cannot be had; the text is one sentence a person can act on."""
