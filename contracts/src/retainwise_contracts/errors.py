"""What can be wrong with a message. A reader decides by type: each class says what to do with the message."""


class ContractError(Exception):
    """A message breaks the contract."""


class MalformedMessage(ContractError):
    """The body is not a message of ours: no later attempt can read it. Park it."""


class UnsupportedVersion(ContractError):
    """The message is ours, of a version this reader does not know. Park it; redrive after an update."""

    def __init__(self, message_type: str) -> None:
        super().__init__(f"no reader here for {message_type}: update this service, then redrive the message")
        self.message_type = message_type


class NotWritable(ContractError):
    """The writer put something into a message that only a reader may hold, such as UNKNOWN."""


class ForbiddenMove(ContractError):
    """A prediction cannot go from the one status to the other."""
