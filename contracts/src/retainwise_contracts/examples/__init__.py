"""One message of each type, as it is sent: for testing readers, and later versions of the contracts."""

from importlib.resources import files


def load_example(message_type: str) -> str:
    """Return the example of a message type as JSON.

    Raises:
        FileNotFoundError: there is no such message type.
    """
    return files(__name__).joinpath(f"{message_type}.json").read_text("utf-8")
