"""Receives a customer's file: counted, hashed and inspected while it streams to S3.

Memory does not grow with the file: only its head and the current part are buffered. Most bad files are
refused from their first bytes.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import aiohttp
import structlog
from aiohttp import BodyPartReader, MultipartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from ml_models.intake.columns import map_columns
from ml_models.intake.dialect import HEAD_BYTES, detect_dialect
from producer_api.auth import CALLER
from producer_api.errors import (
    ContentEncodingUnsupported,
    FileTooLarge,
    InvalidParameter,
    MalformedMultipart,
    MediaTypeUnsupported,
    ShuttingDown,
    TooManyUploads,
    UploadCutOff,
    UploadStalled,
)
from producer_api.models import MODELS
from producer_api.objects import OBJECTS, ObjectWriter, StoredObject
from producer_api.options import MAX_FIELD_BYTES, PredictionOptions, read_options
from producer_api.settings import SETTINGS, Settings
from producer_api.telemetry import METRICS, ApiMetrics
from retainwise_contracts.logs import LogField

RAW_MEDIA_TYPES = frozenset(
    {"text/csv", "application/csv", "application/vnd.ms-excel", "application/octet-stream"}
)
"""What browsers and tools send as the type of a CSV file. The content is checked by its first bytes."""

FORM_MEDIA_TYPE = "multipart/form-data"
FORM_OVERHEAD_BYTES = 262_144
"""What a form may add to its file: boundaries, headers and fields."""

MAX_FORM_FIELDS = 10
CHUNK_BYTES = 65_536
"""How much of a form's part is read at a time."""

UPLOAD_SECONDS = 3_600.0
"""For one upload in total, even if data keeps arriving. A file that takes longer is better split."""

MAX_FILE_NAME_CHARACTERS = 255

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Upload:
    """A file that is completely stored and has the columns the model needs."""

    upload_id: UUID
    object: StoredObject
    file_name: str | None
    options: PredictionOptions


class UploadGate:
    """Limits the number of concurrent uploads, and admits none once the API is shutting down."""

    def __init__(self, at_most: int, metrics: ApiMetrics) -> None:
        self._at_most = at_most
        self._metrics = metrics
        self._under_way = 0
        self._none_under_way = asyncio.Event()
        self._none_under_way.set()
        self.closed = False

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Count one upload while the block runs.

        Raises:
            ShuttingDown: the gate is closed.
            TooManyUploads: the limit is reached.
        """
        if self.closed:
            raise ShuttingDown
        if self._under_way >= self._at_most:
            raise TooManyUploads
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    def close(self) -> None:
        """Admit no more uploads."""
        self.closed = True

    async def wait_empty(self) -> None:
        """Wait until no upload is under way."""
        await self._none_under_way.wait()

    def _count(self, change: int) -> None:
        self._under_way += change
        self._metrics.uploads_under_way.set(self._under_way)
        if self._under_way:
            self._none_under_way.clear()
        else:
            self._none_under_way.set()


UPLOAD_GATE = web.AppKey("upload_gate", UploadGate)


async def continue_when_read(_: web.Request) -> None:
    """Answer `Expect: 100-continue` only when the body is read, so that a refused file is not sent."""


async def create_upload(request: web.Request) -> Upload:
    """Receive the file of a request, as the body or in a form, and store it.

    Raises:
        ApiError, UnreadableFile, MappingError, ModelNotFound: the upload is refused, and nothing is stored.
    """
    settings = request.app[SETTINGS]
    _refuse_by_headers(request, settings)
    upload_id = uuid4()
    key = f"uploads/{request[CALLER].tenant_id}/{upload_id}.csv"
    with structlog.contextvars.bound_contextvars(**{LogField.UPLOAD_ID: str(upload_id)}):
        with request.app[UPLOAD_GATE].admit():
            async with _time_limit(UPLOAD_SECONDS), request.app[OBJECTS].create_object(key) as writer:
                receive = _receive_form if request.content_type == FORM_MEDIA_TYPE else _receive_raw
                file_name, options = await receive(request, writer, settings)
                stored = await writer.complete()
        log.info("upload_stored", key=key, size_bytes=stored.size_bytes)
    return Upload(upload_id, stored, file_name, options)


def _refuse_by_headers(request: web.Request, settings: Settings) -> None:
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() != "identity":
        raise ContentEncodingUnsupported
    if request.content_type not in RAW_MEDIA_TYPES and request.content_type != FORM_MEDIA_TYPE:
        raise MediaTypeUnsupported
    if request.content_type == FORM_MEDIA_TYPE and "boundary=" not in request.headers[hdrs.CONTENT_TYPE]:
        raise MalformedMultipart(
            "The Content-Type header has no boundary. Let your HTTP client set this header."
        )
    overhead = FORM_OVERHEAD_BYTES if request.content_type == FORM_MEDIA_TYPE else 0
    if (request.content_length or 0) > settings.max_upload_bytes + overhead:
        raise FileTooLarge(settings.max_upload_bytes)


async def _receive_raw(
    request: web.Request, writer: ObjectWriter, settings: Settings
) -> tuple[str | None, PredictionOptions]:
    """Receive a body that is the file itself; the options are in the query."""
    options = read_options(request.query.items(), request.app[MODELS])
    file = _IncomingFile(writer, settings.max_upload_bytes, request.app[METRICS])
    chunks = _body_chunks(request, settings.upload_idle_seconds)
    headers = await file.receive_head(chunks)
    await _check_columns(headers, options)
    await file.receive_rest(chunks)
    return None, options


async def _receive_form(
    request: web.Request, writer: ObjectWriter, settings: Settings
) -> tuple[str | None, PredictionOptions]:
    """Receive a form with the part `file`. Columns are checked last: fields may come after the file."""
    if request.query:
        raise InvalidParameter(next(iter(request.query)), "with a form, send it as a form field.")
    file = _IncomingFile(writer, settings.max_upload_bytes, request.app[METRICS])
    file_name: str | None = None
    headers: tuple[str, ...] | None = None
    fields: dict[str, str] = {}
    async for part in _form_parts(request, settings.upload_idle_seconds):
        if part.name == "file":
            if headers is not None:
                raise MalformedMultipart("The form has more than one part named “file”.")
            file_name = _clean_file_name(part.filename)
            chunks = _part_chunks(part, settings.upload_idle_seconds)
            headers = await file.receive_head(chunks)
            await file.receive_rest(chunks)
        elif part.name in fields or part.name is None or len(fields) >= MAX_FORM_FIELDS:
            raise MalformedMultipart(
                f"Each part needs a name of its own, and at most {MAX_FORM_FIELDS} fields are allowed."
            )
        else:
            fields[part.name] = await _read_field(part, settings.upload_idle_seconds)
    if headers is None:
        raise MalformedMultipart("The form has no part named “file”.")
    options = read_options(fields.items(), request.app[MODELS])
    await _check_columns(headers, options)
    return file_name, options


class _IncomingFile:
    """One file as it arrives: `receive_head` first, then `receive_rest`. Both write to S3."""

    def __init__(self, writer: ObjectWriter, max_bytes: int, metrics: ApiMetrics) -> None:
        self._writer = writer
        self._max_bytes = max_bytes
        self._metrics = metrics

    async def receive_head(self, chunks: AsyncIterator[bytes]) -> tuple[str, ...]:
        """Receive the file until its first `HEAD_BYTES` are known, and return the column headers found there.

        Raises:
            UnreadableFile: the head is not that of a CSV file.
            FileTooLarge: the file exceeds the limit.
        """
        head = bytearray()
        whole = True
        async for chunk in chunks:
            await self._write(chunk)
            head += chunk[: HEAD_BYTES - len(head)]
            if (
                self._writer.size_bytes > HEAD_BYTES
            ):  # one byte more shows that the head is not the whole file
                whole = False
                break
        dialect = await asyncio.to_thread(detect_dialect, bytes(head), whole=whole)
        return dialect.headers

    async def receive_rest(self, chunks: AsyncIterator[bytes]) -> None:
        """Receive what follows the head. Raises FileTooLarge."""
        async for chunk in chunks:
            await self._write(chunk)

    async def _write(self, chunk: bytes) -> None:
        if self._writer.size_bytes + len(chunk) > self._max_bytes:
            raise FileTooLarge(self._max_bytes)
        self._metrics.upload_bytes.inc(len(chunk))
        await self._writer.write(chunk)


async def _check_columns(headers: tuple[str, ...], options: PredictionOptions) -> None:
    """Refuse a file whose columns do not fit the model."""
    await asyncio.to_thread(map_columns, headers, options.card, options.mapping)


async def _body_chunks(request: web.Request, idle_seconds: float) -> AsyncIterator[bytes]:
    await _send_continue(request)
    while True:
        with _translate_body_errors():
            async with _time_limit(idle_seconds):
                chunk = await request.content.readany()
        if not chunk:
            return
        yield chunk


async def _form_parts(request: web.Request, idle_seconds: float) -> AsyncIterator[BodyPartReader]:
    await _send_continue(request)
    with _translate_body_errors():
        form = await request.multipart()
    while True:
        with _translate_body_errors():
            async with _time_limit(idle_seconds):
                part = await form.next()
        if part is None:
            return
        if isinstance(part, MultipartReader):
            raise MalformedMultipart("A part of the form is itself multipart.")
        encoding = part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "binary").lower()
        if hdrs.CONTENT_ENCODING in part.headers or encoding not in {"binary", "8bit", "7bit"}:
            raise ContentEncodingUnsupported
        yield part


async def _part_chunks(part: BodyPartReader, idle_seconds: float) -> AsyncIterator[bytes]:
    while True:
        with _translate_body_errors():
            async with _time_limit(idle_seconds):
                chunk = await part.read_chunk(CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


async def _read_field(part: BodyPartReader, idle_seconds: float) -> str:
    value = bytearray()
    async for chunk in _part_chunks(part, idle_seconds):
        value += chunk
        if len(value) > MAX_FIELD_BYTES:
            raise InvalidParameter(str(part.name), f"the maximum is {MAX_FIELD_BYTES:,} bytes.")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidParameter(str(part.name), "it is not valid UTF-8.") from error


@contextmanager
def _translate_body_errors() -> Iterator[None]:
    """Translate aiohttp's errors for a body that is cut off or does not match its headers."""
    try:
        yield
    except (aiohttp.ClientError, web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        raise UploadCutOff from error
    except (ValueError, AssertionError, RuntimeError) as error:  # of the multipart reader
        raise MalformedMultipart from error


@asynccontextmanager
async def _time_limit(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise UploadStalled from error


def _clean_file_name(name: str | None) -> str | None:
    """Keep the last component of a path, without unprintable characters."""
    last = re.split(r"[/\\]", name or "")[-1]
    printable = "".join(character for character in last if character.isprintable())
    return printable[-MAX_FILE_NAME_CHARACTERS:] or None


async def _send_continue(request: web.Request) -> None:
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # aiohttp would otherwise take these bytes for the start of the final response.
        request.writer.output_size = 0
