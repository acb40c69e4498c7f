"""Keeps credentials inside URLs out of logs and of refusals to start."""

import re

from structlog.typing import EventDict, WrappedLogger

_URL = re.compile(r"://[^\s\"'<>]+")
_USER_INFO = re.compile(r"://[^\s/?#]*@")
"""The user and password of a URL."""

_QUERY = re.compile(r"\?[^)]*")
"""The query of a URL, which may hold a key or a signature."""


def hide_credentials(text: str) -> str:
    """Return a text without the users, passwords and queries of the URLs in it."""
    return _URL.sub(_hide_in_url, text)


def _hide_in_url(url: re.Match[str]) -> str:
    return _QUERY.sub("?…", _USER_INFO.sub("://…@", url[0]))


def hide_credentials_in_line(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Hide credentials in all texts of a log line, whoever wrote it."""
    for name, value in line.items():
        if isinstance(value, str) and "://" in value:
            line[name] = hide_credentials(value)
    return line
