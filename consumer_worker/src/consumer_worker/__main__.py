"""`python -m consumer_worker` runs a worker; with `check` it checks its environment and exits.

`check --permissions` also tries, harmlessly, every call to AWS, and some that must be denied.

Exit codes: 0 stopped by a signal, or every check passed; 1 something it needs cannot be used, or a part of it
failed while it ran; 2 bad settings.
"""

import asyncio
import sys

import structlog

from consumer_worker.allocator import limit_arenas
from consumer_worker.errors import SideTaskFailed, StartRefused
from consumer_worker.logs import configure_logs
from consumer_worker.permissions import prove_permissions
from consumer_worker.resources import open_resources
from consumer_worker.settings import Settings, SettingsRefused, read_settings
from consumer_worker.sqs.queue import QueueRefused
from consumer_worker.worker import run_worker
from retainwise_contracts.logs import StartupEvent

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def _check(settings: Settings, *, permissions: bool) -> None:
    async with open_resources(settings):
        if permissions:
            await prove_permissions(settings)
        log.info("check_passed")


def main(arguments: list[str]) -> int:
    """Run the command and return the process's exit code."""
    if arguments not in ([], ["check"], ["check", "--permissions"]):
        print("usage: python -m consumer_worker [check [--permissions]]", file=sys.stderr)  # noqa: T201 no log yet
        return 2
    try:
        settings = read_settings()
    except SettingsRefused as error:
        print(f"consumer_worker cannot start:\n{error}", file=sys.stderr)  # noqa: T201 no log level yet
        return 2
    configure_logs(settings.log_level)
    limit_arenas()
    try:
        if arguments:
            asyncio.run(_check(settings, permissions="--permissions" in arguments))
        else:
            asyncio.run(run_worker(settings))
    except StartRefused as error:
        log.critical(StartupEvent.STARTUP_REFUSED, reason=str(error))
        return 1
    except (QueueRefused, SideTaskFailed) as error:
        log.critical("worker_failed", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
