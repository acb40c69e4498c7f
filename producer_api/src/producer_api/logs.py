"""Logs as one JSON object per line on standard output, including those of libraries."""

import logging
import sys

import orjson
import structlog
from aiohttp.http_exceptions import HttpProcessingError

from producer_api import SERVICE
from producer_api.redaction import hide_credentials_in_line
from retainwise_contracts.logs import LogField


def _without_request(record: logging.LogRecord) -> bool:
    """Strip the request from a log record about malformed HTTP: it may hold a token."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args, record.exc_info = f"unreadable request: {type(error).__name__}", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _in_one_line(record: logging.LogRecord) -> bool:
    """Write the cause of a lost connection in place of its traceback: asyncpg logs it at each attempt."""
    if record.exc_info and isinstance(error := record.exc_info[1], OSError):
        record.msg = f"{record.getMessage()}: {str(error) or type(error).__name__}"
        record.args, record.exc_info = (), None
    return True


def configure_logs(level: str) -> None:
    """Set up structlog and the standard library's logging to write the same JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_credentials_in_line,
    ]
    structlog.contextvars.bind_contextvars(**{LogField.SERVICE: SERVICE})
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # No line shows where it was written, by which thread or process: finding that out takes half of its time.
    logging._srcfile = None  # noqa: SLF001 as the documentation of logging has it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(
                    # Field names may be members of LogField, which orjson does not accept as plain strings.
                    serializer=lambda line, **_: orjson.dumps(
                        line, default=str, option=orjson.OPT_NON_STR_KEYS
                    ).decode()
                ),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("aiohttp.server").addFilter(_without_request)
    logging.getLogger("asyncpg.pool").addFilter(_in_one_line)
    for chatty in ("aiobotocore", "botocore", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
