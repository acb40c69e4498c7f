import logging
import sys

import pytest
from aiohttp.http_exceptions import LineTooLong

from consumer_worker import logs as worker_logs
from producer_api import logs
from producer_api.logs import _without_request
from producer_api.redaction import hide_credentials, hide_credentials_in_line


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


@pytest.mark.parametrize("in_one_line", [logs._in_one_line, worker_logs._in_one_line])
def test_lost_connection_is_logged_in_one_line(in_one_line):
    lost, ours = record_of(ConnectionResetError(104, "reset")), record_of(RuntimeError("ours"))
    assert in_one_line(lost)
    assert in_one_line(ours)
    assert logging.Formatter().format(lost) == "Error: [Errno 104] reset"
    assert "RuntimeError: ours" in logging.Formatter().format(ours)


def test_credentials_in_urls_are_hidden():
    line = {
        "event": "x",
        "url": "https://user:pa@ss@issuer.example/keys?api_key=hidden-word",
        "reason": "cannot reach http://u:hidden-word@proxy:8080, tried 3 times",
        "number": 1,
    }
    hidden = hide_credentials_in_line(None, "", line)
    assert hidden["url"] == "https://…@issuer.example/keys?…"
    assert hidden["reason"] == "cannot reach http://…@proxy:8080, tried 3 times"


def test_hiding_credentials_is_linear():
    text = "://" + "a" * 100_000 + "://" * 30_000
    assert hide_credentials(text)
