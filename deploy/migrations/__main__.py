"""`python -m deploy.migrations`: the migration as a one-off task: schema, logins, connection secrets.

Exit codes: 0 all of it is as this release needs it; 1 it is not, and the next run goes on; 2 bad settings.
"""

import asyncio
import sys
from pathlib import Path
from urllib.parse import quote

import asyncpg
import structlog
from aiobotocore.session import get_session
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from deploy.migrations.logins import provide_login
from deploy.migrations.settings import Settings

ALEMBIC = Path(__file__).with_name("alembic.ini")

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def migrate(settings: Settings) -> None:
    """Migrate the schema, then make both logins and their secrets.

    Raises:
        CommandError, SQLAlchemyError: the schema cannot be migrated.
        asyncpg.PostgresError, OSError, BotoCoreError, ClientError: a login or a secret cannot be made.
    """
    address = (
        f"{settings.database_host}:{settings.database_port}/{settings.database_name}?{settings.database_tls}"
    )
    password = quote(settings.owner_password.get_secret_value(), safe="")
    owner_url = f"postgresql://{quote(settings.owner_user, safe='')}:{password}@{address}"
    config = Config(ALEMBIC)
    config.attributes["database_url"] = owner_url
    await asyncio.to_thread(command.upgrade, config, "head")
    log.info("schema_migrated")
    owner = await asyncpg.connect(owner_url)
    try:
        async with get_session().create_client("secretsmanager", region_name=settings.aws_region) as client:
            for login, arn in (
                ("producer_api", settings.producer_secret_arn),
                ("consumer_worker", settings.worker_secret_arn),
            ):
                await provide_login(owner, client, login=login, secret_arn=arn, address=address)
    finally:
        await owner.close()
    log.info("migration_complete")


def main() -> int:
    """Run the command and return the process's exit code."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ]
    )
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            log.critical("settings_refused", setting=str(problem["loc"][0]).upper(), reason=problem["msg"])
        return 2
    try:
        asyncio.run(migrate(settings))
    except (
        CommandError,
        SQLAlchemyError,
        asyncpg.PostgresError,
        OSError,
        BotoCoreError,
        ClientError,
    ) as error:
        # Of SQLAlchemy and asyncpg, whose texts have no password in them.
        log.critical("migration_failed", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
