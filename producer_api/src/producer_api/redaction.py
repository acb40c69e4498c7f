"""Keeps credentials inside URLs out of logs and of refusals to start."""

import re

from structlog.typing import EventDict, WrappedLogger

_USER_INFO = re.compile(r"://[^\s/?#\"'<>]*@")
"""The user and password of a URL."""

_QUERY = re.compile(r"(://[^\s?#\"'<>]*)\?[^\s\"'<>)]*")
"""The query of a URL, which may hold a key or a signature."""


def hide_credentials(text: str) -> str:
    """Return a text without the users, passwords and queries of the URLs in it."""
    if "://" not in text:
        return text
    return _QUERY.sub(r"\1?…", _USER_INFO.sub("://…@", text))


def hide_credentials_in_line(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Hide credentials in all texts of a log line, whoever wrote it."""
    for name, value in line.items():
        if isinstance(value, str) and "://" in value:
            line[name] = hide_credentials(value)
    return line
