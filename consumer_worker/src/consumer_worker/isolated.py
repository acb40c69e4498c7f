"""What runs in the child process of `isolation`: `python -I -m consumer_worker.isolated <pid of the parent>`.

It gives up what it does not need before it loads a library, reads its order from standard input, and writes
one answer to standard output. What is imported at the top must start no thread: see `confine`.
"""

import ctypes
import errno
import faulthandler
import os
import re
import resource
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumer_worker.isolation import Answer

OUT_OF_MEMORY_EXIT = 86
"""Exit code of a child whose memory limit was reached: it may have none left to write an answer with."""

OUT_OF_MEMORY = re.compile(
    r"MemoryError|memory allocation of \d+ bytes failed|bad_alloc|[Cc]annot allocate memory|[Oo]ut of memory"
    r"|[Ff]ailed to allocate memory|can't start new thread"
)
"""As Python, Rust, C++, the C library and ONNX Runtime write it."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def confine(parent: int) -> None:
    """Give up the network, core dumps and outliving the parent, and be the first to go if memory is short.

    It does what the system allows: a network of its own needs a single thread and user namespaces, which some
    container runtimes refuse.
    """
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        libc = ctypes.CDLL(None)
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        libc.prctl(_PR_SET_DUMPABLE, 0)  # the limit alone does not hold where core_pattern is a program
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # last: a change of credentials would undo it
    if os.getppid() != parent:  # it died before the line above
        os.kill(os.getpid(), signal.SIGKILL)


def limit_memory(limit_bytes: int) -> None:
    """Let every allocation fail that takes the process's private memory beyond `limit_bytes`.

    RLIMIT_DATA and not RLIMIT_AS, which also counts the address space that Polars' allocator only reserves.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))


def answer(order_json: bytes) -> "Answer":
    """Carry out one order; every way to end but death and lack of memory is an answer.

    Raises:
        MemoryError: the memory limit was reached.
    """
    # Libraries are loaded once `confine` has run: some start threads when they are imported.
    from consumer_worker.isolation import Answer, Failed, Order, Unexpected
    from consumer_worker.scoring import ScoringFailed, score_file
    from consumer_worker.scratch import system_error_number
    from ml_models.runtime import load_model

    order = Order.model_validate_json(order_json)
    limit_memory(order.memory_bytes)
    try:
        report = score_file(
            order.source,
            order.destination,
            load_model(order.model),
            order.request,
            limits=order.limits,
            cancelled=threading.Event(),  # to cancel, the parent kills this process
        )
    except ScoringFailed as error:
        return Answer(failed=Failed(code=error.code, detail=error.detail))
    except BaseException as error:  # a panic in Polars is no Exception
        if _is_out_of_memory(error):
            raise MemoryError from error
        return Answer(
            unexpected=Unexpected(
                error=type(error).__name__,
                error_number=system_error_number(error),
                frames=_frames(error.__traceback__),
            )
        )
    return Answer(report=report)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error)) is not None


def _frames(trace: TracebackType | None) -> tuple[str, ...]:
    """Return where an error came from. Its text is left out: Polars writes cells into it."""
    return tuple(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)
    )


def main(parent: int) -> None:
    """Answer the order on standard input, and end the process."""
    confine(parent)
    # What a library prints must not get into the answer.
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        text = answer(sys.stdin.buffer.read()).model_dump_json().encode()
        with open(answers, "wb") as out:  # noqa: PTH123 it is a file descriptor
            out.write(text)
    except MemoryError:
        os._exit(OUT_OF_MEMORY_EXIT)


if __name__ == "__main__":
    main(int(sys.argv[1]))
