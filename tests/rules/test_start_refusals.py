"""What a start refusal shows, and how AWS's codes are read: the same in both services, and no password."""

import asyncpg
import pytest

import consumer_worker.resources as worker
import producer_api.resources as api
from consumer_worker.sqs import queue as engine

SERVICES = pytest.mark.parametrize("service", [api, worker], ids=["api", "worker"])

UNREADABLE = "an address that cannot be read"

ADDRESSES = {
    "postgresql://host/db": "host/db",
    "postgresql://user:hidden@host:5432/db": "host:5432/db",
    "postgresql://user:hid@den@host:5432/db": "host:5432/db",
    "postgresql://user:hid%40den@host/db": "host/db",
    "postgresql://host/db?password=hidden": "host/db",
    "postgresql://host/db?password=hid@den": "host/db",
    "postgresql://host/db?user=a@b&password=hid@den&sslmode=require": "host/db",
    "postgresql://host/db?password=hid%26den%40": "host/db",
    "postgresql://user:hidden@[::1]:5432/db": "[::1]:5432/db",
    "postgresql://user:hid@den@[2001:db8::1]/db?password=hid@den": "[2001:db8::1]/db",
    "postgresql://user:hidden@host": "host/",
    "postgresql:///db?password=hid@den": "the default host/db",
    "postgresql://user:hidden@/db": "the default host/db",
    "postgresql://": "the default host/",
    "postgresql:///db?host=/var/run/postgresql&password=hidden": "/var/run/postgresql/db",
    "postgresql://user:hidden@%2Fvar%2Frun%2Fpostgresql/db": "/var/run/postgresql/db",
    "postgresql://host?dbname=db&password=hidden": "host/db",
    "postgresql://user:hidden@one:5432,two:5433/db": "one:5432,two:5433/db",
    # A password that is not percent-encoded: a part of it stands where the host or the port would.
    "postgresql://user:hid/den@host/db": UNREADABLE,
    "postgresql://user:hid?den@host/db": UNREADABLE,
    "postgresql://user:hid#den@host/db": UNREADABLE,
    "postgresql://user:12/hidden@host/db": UNREADABLE,
    "postgresql://user:12?hidden@host/db": UNREADABLE,
    "postgresql://user:12?hid=den@host/db": UNREADABLE,
    "postgresql://user:12#hidden@host/db": UNREADABLE,
    "postgresql://host/db?password=hid&den": UNREADABLE,
    "postgresql://user:hid[den@host/db": UNREADABLE,
    "postgresql://user:hid\u2100den@host/db": UNREADABLE,
    "postgresql://user:hidden@host:port/db": UNREADABLE,
}
"""URLs of a database, and all that may be shown of them."""

MALFORMED = [
    "postgresql://user:pass@hid:den@host/db",
    "postgresql://user:hid/den@host/db",
    "postgresql://host/db?password=pass&hidden",
    "postgresql://user:hid\u2100den@host/db",
]
"""URLs that asyncpg, or the library it uses, refuses with a text that quotes a part of the password."""

ACCESS_DENIED = [
    "AccessDenied",
    "AccessDeniedException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
]
"""Codes of a permission or an access key that is missing: the API's, the worker's and the engine's."""

PREFIXES = ["", "AWS.SimpleQueueService.", "com.amazon.coral.service#", "com.amazonaws.sqs#"]
OTHER_ERRORS = ["404", "NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue", "ThrottlingException", ""]


@SERVICES
@pytest.mark.parametrize(("url", "address"), ADDRESSES.items())
def test_address_of_database_shows_no_password(service, url, address):
    assert service.database_address(url) == address
    assert "hid" not in address


@SERVICES
@pytest.mark.parametrize("url", MALFORMED)
async def test_refusal_of_malformed_url_shows_no_password(service, url):
    with pytest.raises((ValueError, asyncpg.InterfaceError)) as raised:
        await asyncpg.connect(url, timeout=5)
    assert "hid" in str(raised.value) or "den" in str(raised.value)
    refusal = service.describe_database_error(raised.value, service.database_address(url))
    assert refusal.startswith("DATABASE_URL cannot be read")
    assert "hid" not in refusal
    assert "den@" not in refusal


@SERVICES
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (asyncpg.InvalidPasswordError("password authentication failed"), "refused the login"),
        (asyncpg.InvalidCatalogNameError('database "db" does not exist'), "refused the login"),
        (ConnectionRefusedError("connect call failed"), "cannot be reached"),
        (TimeoutError(), "cannot be reached: TimeoutError"),
        (asyncpg.ClientConfigurationError("`sslmode` must be one of: disable"), "cannot be used: `sslmode`"),
    ],
)
def test_refusal_says_whether_database_answered(service, error, reason):
    refusal = service.describe_database_error(error, "host:5432/db")
    assert refusal.startswith(f"DATABASE_URL: the database at host:5432/db {reason}")


@SERVICES
def test_services_read_codes_of_denied_access_alike(service):
    denied = [prefix + code for prefix in PREFIXES for code in ACCESS_DENIED]
    assert [code for code in denied if not service.is_access_denied(code)] == []
    assert service.is_access_denied("403")
    assert [code for code in OTHER_ERRORS if service.is_access_denied(code)] == []


def test_engine_knows_same_codes_of_denied_access():
    of_other_services = {"403", "AuthorizationError"}  # S3's answer to a HEAD, and SNS
    assert set(ACCESS_DENIED) == engine.ACCESS_DENIED_CODES
    assert set(ACCESS_DENIED) | of_other_services == api.ACCESS_DENIED_CODES
