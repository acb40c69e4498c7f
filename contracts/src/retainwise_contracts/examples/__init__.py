"""One message of each type, as it stands on the wire: to try a reader with, and to hold later versions to."""

from importlib.resources import files


def load_example(message_type: str) -> str:
    """Give the JSON text of the example for a message type.

    Raises:
        FileNotFoundError: there is no such message type.
    """
    return files(__name__).joinpath(f"{message_type}.json").read_text("utf-8")
