"""A customer's file on its way in: counted, hashed and looked at while it streams to S3.

Memory does not grow with the file: at most a part of it is held. What can be refused is refused as early as
it is known, most of it from the first bytes.
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
"""What browsers and tools call a CSV file. What it really is, its first bytes tell."""

FORM_MEDIA_TYPE = "multipart/form-data"
FORM_OVERHEAD_BYTES = 262_144
"""What a form may have beside its file: boundaries, headers and fields."""

MAX_FORM_FIELDS = 10
CHUNK_BYTES = 65_536
"""Read at a time from a form."""

UPLOAD_SECONDS = 3_600.0
"""For one upload in all, however steadily it drips: above an hour a file is better sent in parts."""

MAX_FILE_NAME_CHARACTERS = 255

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Upload:
    """A file that is stored in full and looks like one the model can score."""

    upload_id: UUID
    object: StoredObject
    file_name: str | None
    options: PredictionOptions


class UploadGate:
    """Counts the uploads under way: so many at once and no more, and none once the API is stopping."""

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
            TooManyUploads: no more fit in.
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
        """Let in no more."""
        self.closed = True

    async def wait_empty(self) -> None:
        """Wait until no upload is under way."""
        await self._none_under_way.wait()

    def _count(self, change: int) -> None:
        self._under_way += change
        self._metrics.uploads_under_way.set(self._under_way)
        (self._none_under_way.clear if self._under_way else self._none_under_way.set)()


UPLOAD_GATE = web.AppKey("upload_gate", UploadGate)


async def continue_when_read(_: web.Request) -> None:
    """Answer `Expect: 100-continue` only once the body is wanted, so that a refusal costs no transfer."""


async def create_upload(request: web.Request) -> Upload:
    """Take the file of a request, in either form, and store it.

    Raises:
        ApiError, UnreadableFile, MappingError, ModelNotFound: it is refused, and nothing is stored.
    """
    settings = request.app[SETTINGS]
    _refuse_by_headers(request, settings)
    upload_id = uuid4()
    key = f"uploads/{request[CALLER].tenant_id}/{upload_id}.csv"
    with structlog.contextvars.bound_contextvars(**{LogField.UPLOAD_ID: str(upload_id)}):
        with request.app[UPLOAD_GATE].admit():
            async with _stalling_after(UPLOAD_SECONDS), request.app[OBJECTS].create_object(key) as writer:
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
            "The Content-Type names no boundary. Do not set this header by hand: the browser or client does."
        )
    overhead = FORM_OVERHEAD_BYTES if request.content_type == FORM_MEDIA_TYPE else 0
    if (request.content_length or 0) > settings.max_upload_bytes + overhead:
        raise FileTooLarge(settings.max_upload_bytes)


async def _receive_raw(
    request: web.Request, writer: ObjectWriter, settings: Settings
) -> tuple[str | None, PredictionOptions]:
    """Take a body that is the file itself; what else is wanted stands in the query."""
    options = read_options(request.query.items(), request.app[MODELS])
    file = _IncomingFile(writer, settings.max_upload_bytes, request.app[METRICS])
    async for chunk in _chunks(request, settings.upload_idle_seconds):
        if await file.take(chunk):
            await _check_columns(file, options)
    if await file.end():
        await _check_columns(file, options)
    return None, options


async def _receive_form(
    request: web.Request, writer: ObjectWriter, settings: Settings
) -> tuple[str | None, PredictionOptions]:
    """Take a form with the part `file`; fields may stand before and after it, so columns are checked last."""
    if request.query:
        raise InvalidParameter(next(iter(request.query)), "with a form, send it as a field of the form.")
    file = _IncomingFile(writer, settings.max_upload_bytes, request.app[METRICS])
    file_name: str | None = None
    seen = False
    fields: dict[str, str] = {}
    async for part in _parts(request, settings.upload_idle_seconds):
        if part.name == "file":
            if seen:
                raise MalformedMultipart("The form has more than one part named “file”.")
            seen = True
            file_name = _clean_file_name(part.filename)
            while chunk := await _read_part(part, settings.upload_idle_seconds):
                await file.take(chunk)
            await file.end()
        elif part.name in fields or part.name is None or len(fields) >= MAX_FORM_FIELDS:
            raise MalformedMultipart("A part has no name, stands there twice, or there are too many.")
        else:
            fields[part.name] = await _read_field(part, settings.upload_idle_seconds)
    if not seen:
        raise MalformedMultipart("The form has no part named “file”.")
    options = read_options(fields.items(), request.app[MODELS])
    await _check_columns(file, options)
    return file_name, options


class _IncomingFile:
    """One file as it arrives: counted, capped, its head looked at, its bytes written on."""

    def __init__(self, writer: ObjectWriter, max_bytes: int, metrics: ApiMetrics) -> None:
        self._writer = writer
        self._max_bytes = max_bytes
        self._metrics = metrics
        self._head = bytearray()
        self.headers: tuple[str, ...] | None = None
        """Known once the head has arrived."""

    async def take(self, chunk: bytes) -> bool:
        """Take the next bytes; True when they complete the head."""
        if self._writer.size_bytes + len(chunk) > self._max_bytes:
            raise FileTooLarge(self._max_bytes)
        self._metrics.upload_bytes.inc(len(chunk))
        await self._writer.write(chunk)
        if self.headers is not None:
            return False
        self._head += chunk[: HEAD_BYTES - len(self._head)]
        # One byte beyond the head tells that it is not the whole file.
        if self._writer.size_bytes <= HEAD_BYTES:
            return False
        return await self._look(whole=False)

    async def end(self) -> bool:
        """Note that nothing follows; True when the head is only now known to be complete."""
        return False if self.headers is not None else await self._look(whole=True)

    async def _look(self, *, whole: bool) -> bool:
        dialect = await asyncio.to_thread(detect_dialect, bytes(self._head), whole=whole)
        self.headers = dialect.headers
        self._head.clear()
        return True


async def _check_columns(file: _IncomingFile, options: PredictionOptions) -> None:
    """Refuse a file whose columns do not fit the model."""
    await asyncio.to_thread(map_columns, file.headers or (), options.card, options.mapping)


async def _chunks(request: web.Request, idle_seconds: float) -> AsyncIterator[bytes]:
    await _send_continue(request)
    while True:
        with _broken_off():
            async with _stalling_after(idle_seconds):
                chunk = await request.content.readany()
        if not chunk:
            return
        yield chunk


async def _parts(request: web.Request, idle_seconds: float) -> AsyncIterator[BodyPartReader]:
    await _send_continue(request)
    with _broken_off():
        form = await request.multipart()
    while True:
        with _broken_off():
            async with _stalling_after(idle_seconds):
                part = await form.next()
        if part is None:
            return
        if isinstance(part, MultipartReader):
            raise MalformedMultipart("A part of the form is multipart itself.")
        encoding = part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "binary").lower()
        if hdrs.CONTENT_ENCODING in part.headers or encoding not in {"binary", "8bit", "7bit"}:
            raise ContentEncodingUnsupported
        yield part


async def _read_part(part: BodyPartReader, idle_seconds: float) -> bytes:
    with _broken_off():
        async with _stalling_after(idle_seconds):
            return await part.read_chunk(CHUNK_BYTES)


async def _read_field(part: BodyPartReader, idle_seconds: float) -> str:
    value = bytearray()
    while chunk := await _read_part(part, idle_seconds):
        value += chunk
        if len(value) > MAX_FIELD_BYTES:
            raise InvalidParameter(str(part.name), f"at most {MAX_FIELD_BYTES:,} bytes are read.")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidParameter(str(part.name), "it is not UTF-8.") from error


@contextmanager
def _broken_off() -> Iterator[None]:
    """Translate what aiohttp raises for a body that is cut off or is not what its headers say."""
    try:
        yield
    except (aiohttp.ClientError, web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        raise UploadCutOff from error
    except (ValueError, AssertionError, RuntimeError) as error:  # of the multipart reader
        raise MalformedMultipart from error


@asynccontextmanager
async def _stalling_after(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise UploadStalled from error


def _clean_file_name(name: str | None) -> str | None:
    """Keep the last part of a path, less what cannot be printed or stored."""
    last = re.split(r"[/\\]", name or "")[-1]
    printable = "".join(character for character in last if character.isprintable())
    return printable[-MAX_FILE_NAME_CHARACTERS:] or None


async def _send_continue(request: web.Request) -> None:
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The head of the answer proper is still to come.
        request.writer.output_size = 0
