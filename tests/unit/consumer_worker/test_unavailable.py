"""Which errors say that something every message needs is unavailable, and which are one message's own."""

import errno
import os
from pathlib import Path
from typing import Any

import asyncpg
import polars as pl
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError

from consumer_worker.errors import ScratchUnavailable, StorageUnavailable
from consumer_worker.objects import _storage_errors
from consumer_worker.scratch import probe_scratch, scratch_errors
from consumer_worker.store import _is_unavailable

FULL_DEVICE = Path("/dev/full")


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        ConnectionResetError(),
        TimeoutError(),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE in a read-only transaction"),
        asyncpg.InvalidPasswordError("password authentication failed"),
        asyncpg.DiskFullError("no space left"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 11"),
    ],
)
def test_database_is_unavailable(error):
    assert _is_unavailable(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CheckViolationError("a finished prediction cannot be changed"),
        asyncpg.CharacterNotInRepertoireError("invalid byte sequence"),
        asyncpg.UndefinedColumnError("column does not exist"),
        KeyError("fence"),
    ],
)
def test_other_errors_of_a_statement_are_its_own(error):
    assert not _is_unavailable(error)


def refusal(code, status):
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetObject")


@pytest.mark.parametrize(
    "error",
    [
        refusal("InternalError", 500),
        refusal("SlowDown", 503),
        refusal("AccessDenied", 403),
        refusal("NoSuchBucket", 404),
        refusal("ExpiredToken", 400),
        refusal("KMS.DisabledException", 400),
        refusal("ThrottlingException", 400),
        EndpointConnectionError(endpoint_url="http://127.0.0.1"),
        TimeoutError(),
    ],
)
def test_bucket_is_unavailable(error):
    with pytest.raises(StorageUnavailable), _storage_errors():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        refusal("NoSuchKey", 404),
        refusal("InvalidArgument", 400),
        refusal("InvalidObjectState", 403),
        ParamValidationError(report="a bad key"),
    ],
)
def test_refusals_of_one_object_are_its_own(error):
    with pytest.raises(type(error)), _storage_errors():
        raise error


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "scratch_full"),
        (errno.EDQUOT, "scratch_full"),
        (errno.EROFS, "scratch_unusable"),
        (errno.EIO, "scratch_unusable"),
        (errno.EFBIG, "scratch_unusable"),
    ],
)
def test_scratch_is_unavailable(number, code):
    with pytest.raises(ScratchUnavailable, match=f"^{code}: {os.strerror(number)}$"), scratch_errors():
        raise OSError(number, "x")


@pytest.mark.skipif(not FULL_DEVICE.exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("write", [pl.DataFrame.write_parquet, pl.DataFrame.write_csv])
def test_full_disk_is_seen_behind_an_error_of_polars(write):
    with pytest.raises(ScratchUnavailable, match="scratch_full"), scratch_errors():
        write(pl.DataFrame({"a": range(1_000_000)}), FULL_DEVICE)


def test_other_errors_of_scoring_pass():
    with pytest.raises(FileNotFoundError), scratch_errors():
        raise FileNotFoundError(errno.ENOENT, "x")
    with pytest.raises(ValueError, match="no number"), scratch_errors():
        raise ValueError("no number")


@pytest.mark.parametrize(
    "text",
    [
        "could not parse `No space left on device (os error 28)` as dtype `f64`",
        "could not parse `1`: `No space left on device (os error 28)",
        "a column: a cell (os error 28)",
    ],
)
def test_file_cannot_say_that_the_disk_is_full(text):
    with pytest.raises(pl.exceptions.ComputeError), scratch_errors():
        raise pl.exceptions.ComputeError(text)


def test_probe_of_scratch_needs_room_and_leaves_nothing(tmp_path, monkeypatch):
    probe_scratch(tmp_path)
    assert list(tmp_path.iterdir()) == []

    def refuse(*_):
        raise OSError(errno.ENOSPC, "x")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(ScratchUnavailable, match="scratch_full"):
        probe_scratch(tmp_path)
