"""One JSON object a line on standard output; libraries' log lines are written the same way."""

import logging
import sys

import orjson
import structlog

from consumer_worker import SERVICE
from retainwise_contracts.logs import LogField


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
    ]
    structlog.contextvars.bind_contextvars(**{LogField.SERVICE: SERVICE})
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(
                    # Field names may be members of LogField, which to orjson are no texts.
                    serializer=lambda line, **_: orjson.dumps(
                        line, default=str, option=orjson.OPT_NON_STR_KEYS
                    ).decode()
                ),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("asyncpg.pool").addFilter(_in_one_line)
    for chatty in ("aiobotocore", "botocore", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
