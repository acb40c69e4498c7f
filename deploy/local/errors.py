"""The error that ends the local stack."""


class LocalStackError(Exception):
    """The local stack cannot start or go on; the text says why and what to do."""
