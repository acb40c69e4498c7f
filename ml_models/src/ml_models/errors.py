"""Errors of loading a model."""


class ModelNotFound(LookupError):
    """No such model is installed."""

    def __init__(self, ref: str, *, installed: tuple[str, ...] = ()) -> None:
        self.ref = ref
        self.installed = installed
        known = ", ".join(installed) or "none"
        super().__init__(f"no model {ref!r} is installed (a model is named name@version; installed: {known})")


class ModelRefused(ValueError):
    """A model is installed but must not be used: it differs from its card or needs more than its file."""

    def __init__(self, ref: str, reason: str) -> None:
        self.ref = ref
        self.reason = reason
        super().__init__(f"model {ref} was refused: {reason}")
