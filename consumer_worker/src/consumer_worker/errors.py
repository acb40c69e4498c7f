"""Errors that end the worker's process, and those that stop it from receiving until something is back."""

from typing import ClassVar


class StartRefused(Exception):
    """Something the worker needs is missing or denies access; the text says what, and what to do."""


class SideTaskFailed(Exception):
    """A task that runs beside the consumer ended; the worker has drained. The text names the task and why."""


class DependencyUnavailable(Exception):
    """Something that every message needs cannot be used now; no message is at fault, this is no attempt."""

    dependency: ClassVar[str]
    """As readiness, the breakers and their probes name it."""


class DatabaseUnavailable(DependencyUnavailable):
    """PostgreSQL cannot be reached, refuses connections or cannot be written to."""

    dependency = "database"


class StorageUnavailable(DependencyUnavailable):
    """S3 or the bucket cannot be reached or refuses; a missing or changed object is another error."""

    dependency = "bucket"


class ScratchUnavailable(DependencyUnavailable):
    """The folder for files while they are scored cannot be written to; the text begins with a code."""

    dependency = "scratch"
