import logging
import sys

from aiohttp.http_exceptions import LineTooLong

from producer_api.logs import _without_request


def record_of(error: Exception) -> logging.LogRecord:
    try:
        raise error
    except type(error):
        return logging.LogRecord("aiohttp.server", logging.ERROR, "", 1, "Error", (), sys.exc_info())


def test_malformed_request_is_not_logged():
    record = record_of(LineTooLong(b"Bearer secret-token", 8190))
    assert _without_request(record)
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "secret" not in logging.Formatter().format(record)


def test_other_errors_keep_their_traceback():
    record = record_of(RuntimeError("ours"))
    assert _without_request(record)
    assert "RuntimeError: ours" in logging.Formatter().format(record)
