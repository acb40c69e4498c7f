"""`python -m producer_api` serves the API; with `check` it checks what the API needs and exits.

`check --permissions` also tries, harmlessly, every call to AWS, and some that must be denied.

Exit codes: 0 stopped by a signal, or the check passed; 1 something it needs is missing or refuses access;
2 invalid settings.
"""

import asyncio
import sys

import structlog

from producer_api.errors import StartRefused
from producer_api.logs import configure_logs
from producer_api.permissions import prove_permissions
from producer_api.resources import check_resources
from producer_api.server import serve
from producer_api.settings import Settings, SettingsRefused, read_settings
from retainwise_contracts.logs import StartupEvent

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def _check(settings: Settings, *, permissions: bool) -> None:
    await check_resources(settings)
    if permissions:
        await prove_permissions(settings)
    log.info("check_passed")


def main(arguments: list[str]) -> int:
    """Run the command and return the process's exit code."""
    if arguments not in ([], ["check"], ["check", "--permissions"]):
        print("usage: python -m producer_api [check [--permissions]]", file=sys.stderr)  # noqa: T201 no log yet
        return 2
    try:
        settings = read_settings()
    except SettingsRefused as error:
        print(f"producer_api cannot start:\n{error}", file=sys.stderr)  # noqa: T201 no log level yet
        return 2
    configure_logs(settings.log_level)
    try:
        if arguments:
            asyncio.run(_check(settings, permissions="--permissions" in arguments))
        else:
            asyncio.run(serve(settings))
    except StartRefused as error:
        log.critical(StartupEvent.STARTUP_REFUSED, reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
