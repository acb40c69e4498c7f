"""Standard output and error that a closed terminal or pipe cannot break: the stack must still be stopped."""

import io
import os
import sys
from typing import TextIO


class LastingOutput(io.TextIOWrapper):
    """Writes to a stream for as long as somebody reads it, then nowhere."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors="replace",  # a terminal without █ shows a ?
            line_buffering=True,
        )

    def write(self, text: str, /) -> int:
        """Write the text, or drop it if nobody reads the stream any more."""
        try:
            return super().write(text)
        except OSError:
            self._drop_rest()
            return len(text)

    def flush(self) -> None:
        """Flush the stream, unless nobody reads it any more."""
        try:
            super().flush()
        except OSError:
            self._drop_rest()

    def _drop_rest(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def outlast_readers() -> None:
    """Make standard output and error last."""
    sys.stdout = LastingOutput(sys.stdout)
    sys.stderr = LastingOutput(sys.stderr)
