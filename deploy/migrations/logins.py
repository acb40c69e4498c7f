"""The services' logins: members of the roles of the migrations, with passwords that only secrets know."""

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import asyncpg
import structlog

if TYPE_CHECKING:
    from types_aiobotocore_secretsmanager.client import SecretsManagerClient

PASSWORD_BYTES = 32
CONNECT_TIMEOUT_SECONDS = 10

ROLES = {"producer_api": "retainwise_producer", "consumer_worker": "retainwise_worker"}
"""The logins, and the role that each is a member of."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def provide_login(
    owner: "asyncpg.Connection[asyncpg.Record]",
    client: "SecretsManagerClient",
    *,
    login: str,
    secret_arn: str,
    address: str,
) -> None:
    """Make the login, and the secret that holds its URL, what they should be; what is right already stays.

    `address` is all of the URL that follows the password: host:port/name?options. The secret is written
    before the login has its password: if this ends in between, the next run goes on from the secret.

    Raises:
        asyncpg.PostgresError, OSError, botocore.exceptions.ClientError: the database or the secret refuses.
    """
    url = await _read_secret(client, secret_arn)
    if url is None or url.rpartition("@")[2] != address:
        password = (
            secrets.token_urlsafe(PASSWORD_BYTES) if url is None else unquote(urlsplit(url).password or "")
        )
        url = f"postgresql://{login}:{quote(password, safe='')}@{address}"
        await client.put_secret_value(SecretId=secret_arn, SecretString=url)
        log.info("secret_written", secret=secret_arn)
    if not await _can_log_in(url):
        await _set_password(owner, login, unquote(urlsplit(url).password or ""))
        log.info("login_written", login=login)


async def _read_secret(client: "SecretsManagerClient", arn: str) -> str | None:
    try:
        return (await client.get_secret_value(SecretId=arn)).get("SecretString")
    except client.exceptions.ResourceNotFoundException:  # it has no value yet
        return None


async def _can_log_in(url: str) -> bool:
    try:
        connection: Any = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidPasswordError):
        return False
    await connection.close()
    return True


async def _set_password(owner: "asyncpg.Connection[asyncpg.Record]", login: str, password: str) -> None:
    known = await owner.fetchval("select true from pg_roles where rolname = $1", login)
    statement = "alter role {login} login" if known else "create role {login} login in role {role}"
    quoted = await owner.fetchval("select quote_literal($1)", password)
    await owner.execute(f"{statement.format(login=login, role=ROLES[login])} password {quoted}")
