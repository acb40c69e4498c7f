"""What can be wrong with a message: each class says what a reader does with it."""


class ContractError(Exception):
    """A message breaks the contract."""


class MalformedMessage(ContractError):
    """The body is not a valid message, and retrying will not help. Park it in the dead-letter queue."""


class UnsupportedVersion(ContractError):
    """The message has a version this reader does not know. Park it, and redrive it after an update."""

    def __init__(self, message_type: str) -> None:
        super().__init__(
            f"this version cannot read {message_type}: update this service, then redrive the message"
        )
        self.message_type = message_type


class NotWritable(ContractError):
    """The message holds a value that only readers may hold, such as UNKNOWN."""
