"""Errors that end the worker's process."""


class StartRefused(Exception):
    """Something the worker needs is missing or denies access; the text says what, and what to do."""


class SideTaskFailed(Exception):
    """A task that runs beside the consumer ended; the worker has drained. The text names the task and why."""
