"""Receives a customer's file: counted, hashed and inspected while it streams to S3.

Memory does not grow with the file: only its head and the current part are buffered. Most bad files are
refused from their first bytes.
"""

import asyncio
import re
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID, uuid4

import aiohttp
import structlog
from aiohttp import (
    BadContentDispositionHeader,
    BadContentDispositionParam,
    BodyPartReader,
    MultipartReader,
    hdrs,
    web,
)
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError

from ml_models.intake.columns import map_columns
from ml_models.intake.dialect import HEAD_BYTES, detect_dialect
from producer_api.http.auth import CALLER
from producer_api.http.body import send_continue
from producer_api.http.errors import InvalidParameter
from producer_api.http.idempotency import IDEMPOTENCY
from producer_api.models.catalog import MODELS
from producer_api.objects import OBJECTS, ObjectWriter, StoredObject
from producer_api.predictions.options import MAX_FIELD_BYTES, PredictionOptions, read_options
from producer_api.settings import SETTINGS
from producer_api.telemetry import METRICS
from producer_api.uploads.errors import (
    UNREADABLE,
    ContentEncodingUnsupported,
    FileTooLarge,
    MalformedMultipart,
    MediaTypeUnsupported,
    TooManyOwnUploads,
    TooManyUploads,
    UploadCutOff,
    UploadStalled,
)
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
"""For one upload in total, even if data keeps arriving."""

TOOK_TOO_LONG = "An upload may take an hour. Split the file, or upload it over a faster connection."

MAX_FILE_NAME_CHARACTERS = 255

MAX_CONTENT_TYPE_CHARACTERS = 256
"""For the header of a request or of a part: aiohttp's parser takes time in the square of its length."""

MAX_PART_HEADER_CHARACTERS = 2_048
MAX_PART_HEADERS = 8

MAX_FORM_LINES = 100
"""For the lines of a form that are neither of a part nor of its headers: one boundary for each part."""

READ_AHEAD_BYTES = 262_144
"""What aiohttp may have received beyond what has been read from it."""

INSPECTORS = web.AppKey("inspectors", ThreadPoolExecutor)
"""The threads that inspect files. Few, since each of them takes turns with the event loop."""

INSPECTOR_THREADS = 2

log: structlog.stdlib.BoundLogger = structlog.get_logger()


UPLOAD_ERRORS: tuple[type[Exception], ...] = (
    *(MalformedMultipart, MediaTypeUnsupported, ContentEncodingUnsupported, FileTooLarge),
    *(UploadStalled, UploadCutOff, TooManyUploads, TooManyOwnUploads),
    *UNREADABLE,
)
"""Why a file is not received."""

Options = TypeVar("Options")


@dataclass(frozen=True)
class ReceivedFile(Generic[Options]):
    """A file that is completely stored, and what was sent with it."""

    upload_id: UUID
    object: StoredObject
    file_name: str | None
    options: Options


Upload = ReceivedFile[PredictionOptions]
"""A file to score. It has the columns that the model needs."""


@dataclass(frozen=True)
class Terms(Generic[Options]):
    """What a file is received for."""

    read: Callable[[Iterable[tuple[str, str]]], Options]
    """Reads the parameters, of the query or of the form, and refuses what they must not be."""
    check: Callable[[tuple[str, ...], Options], Awaitable[None]] | None = None
    """Refuses a file by its headers."""


async def create_upload(request: web.Request) -> Upload:
    """Receive a file to score, as the body or in a form, and store it. Its columns fit the model.

    Raises:
        ApiError, UnreadableFile, MappingError, ModelNotFound: the upload is refused, and nothing is stored.
        Replay: it was done before with the same idempotency key, and nothing is stored.
        StorageUnavailable: S3 cannot be used.
    """
    models, inspectors = request.app[MODELS], request.app[INSPECTORS]
    terms = Terms(
        read=lambda parameters: read_options(parameters, models),
        check=partial(check_columns, inspectors),
    )
    return await receive_file(request, terms)


async def receive_file(request: web.Request, terms: Terms[Options]) -> ReceivedFile[Options]:
    """Receive the file of a request, as the body or in a form, and store it. Raises as `create_upload`."""
    upload_id = uuid4()
    key = upload_key(request[CALLER].tenant_id, upload_id)
    with structlog.contextvars.bound_contextvars(**{LogField.UPLOAD_ID: str(upload_id)}):
        async with (
            _time_limit(UPLOAD_SECONDS, TOOK_TOO_LONG),
            request.app[OBJECTS].create_object(key) as writer,
        ):
            receive = _receive_form if request.content_type == FORM_MEDIA_TYPE else _receive_raw
            file_name, options = await receive(request, writer, terms)
            await request[IDEMPOTENCY].identify(await writer.digest())
            stored = await writer.complete()
        log.info("upload_stored", key=key, size_bytes=stored.size_bytes)
    return ReceivedFile(upload_id, stored, file_name, options)


def upload_key(tenant_id: str, upload_id: UUID) -> str:
    """Return the key of an upload's object."""
    return f"uploads/{tenant_id}/{upload_id}.csv"


def refuse_by_headers(request: web.Request) -> None:
    """Refuse an upload whose headers alone show that it cannot be accepted.

    Raises:
        ContentEncodingUnsupported, MediaTypeUnsupported, MalformedMultipart, FileTooLarge: why.
    """
    settings = request.app[SETTINGS]
    # Before anything parses it.
    if len(request.headers.get(hdrs.CONTENT_TYPE, "")) > MAX_CONTENT_TYPE_CHARACTERS:
        raise MediaTypeUnsupported
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
    request: web.Request, writer: ObjectWriter, terms: Terms[Options]
) -> tuple[str | None, Options]:
    """Receive a body that is the file itself; the parameters are in the query."""
    options = terms.read(request.query.items())
    file = _IncomingFile(request, writer)
    chunks = _body_chunks(request, _Pace(request))
    headers = await file.receive_head(chunks)
    if terms.check is not None:
        await terms.check(headers, options)
    await file.receive_rest(chunks)
    return None, options


async def _receive_form(
    request: web.Request, writer: ObjectWriter, terms: Terms[Options]
) -> tuple[str | None, Options]:
    """Receive a form with the part `file`. Columns are checked last: fields may come after the file."""
    if request.query:
        raise InvalidParameter(next(iter(request.query)), "with a form, send it as a form field.")
    file = _IncomingFile(request, writer)
    pace = _Pace(request)
    file_name: str | None = None
    headers: tuple[str, ...] | None = None
    fields: dict[str, str] = {}
    async for part in _form_parts(request, pace):
        if part.name == "file":
            if headers is not None:
                raise MalformedMultipart("The form has more than one part named “file”.")
            file_name = clean_file_name(part.filename)
            chunks = _part_chunks(part, pace)
            headers = await file.receive_head(chunks)
            await file.receive_rest(chunks)
        elif part.name in fields or part.name is None or len(fields) >= MAX_FORM_FIELDS:
            raise MalformedMultipart(
                f"Each part needs a name of its own, and at most {MAX_FORM_FIELDS} fields are allowed."
            )
        else:
            fields[part.name] = await _read_field(part, pace)
    if headers is None:
        raise MalformedMultipart("The form has no part named “file”.")
    options = terms.read(fields.items())
    if terms.check is not None:
        await terms.check(headers, options)
    return file_name, options


class _IncomingFile:
    """One file as it arrives: `receive_head` first, then `receive_rest`. Both write to S3."""

    def __init__(self, request: web.Request, writer: ObjectWriter) -> None:
        self._writer = writer
        self._max_bytes = request.app[SETTINGS].max_upload_bytes
        self._received = request.app[METRICS].upload_bytes
        self._inspectors = request.app[INSPECTORS]

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
            if self._writer.size_bytes > HEAD_BYTES:  # one byte more: the head is not the whole file
                whole = False
                break
        return await read_headers(self._inspectors, bytes(head), whole=whole)

    async def receive_rest(self, chunks: AsyncIterator[bytes]) -> None:
        """Receive what follows the head. Raises FileTooLarge."""
        async for chunk in chunks:
            await self._write(chunk)

    async def _write(self, chunk: bytes) -> None:
        if self._writer.size_bytes + len(chunk) > self._max_bytes:
            raise FileTooLarge(self._max_bytes)
        self._received.inc(len(chunk))
        await self._writer.write(chunk)


async def read_headers(inspectors: ThreadPoolExecutor, head: bytes, *, whole: bool) -> tuple[str, ...]:
    """Return the column headers in the first bytes of a file, or in all of it.

    Raises:
        UnreadableFile: it is not the head of a CSV file.
    """
    detect = partial(detect_dialect, head, whole=whole)
    dialect = await asyncio.get_running_loop().run_in_executor(inspectors, detect)
    return dialect.headers


async def check_columns(
    inspectors: ThreadPoolExecutor, headers: tuple[str, ...], options: PredictionOptions
) -> None:
    """Refuse a file whose columns do not fit the model. Raises MappingError."""
    await asyncio.get_running_loop().run_in_executor(
        inspectors, map_columns, headers, options.card, options.mapping
    )


class _FormReader(MultipartReader):
    """aiohttp's reader of forms, which would skip any number of lines before a boundary without a pause."""

    _lines = 0

    async def _readline(self) -> bytes:
        self._lines += 1
        if self._lines > MAX_FORM_LINES:
            raise ValueError("too many lines that are no part of a file or a field")
        return await super()._readline()


class _Pace:
    """How long an upload may wait for its next bytes.

    It starts with `UPLOAD_IDLE_SECONDS`, which waiting uses up and received bytes restore: one second for
    each `MIN_UPLOAD_BYTES_PER_SECOND`. Only waiting for the client counts: S3 may be slow without its fault.
    """

    def __init__(self, request: web.Request) -> None:
        settings = request.app[SETTINGS]
        self._content = request.content
        self._max_bytes = settings.max_upload_bytes
        self._allowance = self._idle_seconds = settings.upload_idle_seconds
        self._bytes_per_second = settings.min_upload_bytes_per_second
        self._total = 0

    @asynccontextmanager
    async def wait(self) -> AsyncIterator[None]:
        """Limit the block, which reads from the request.

        Raises:
            UploadStalled: it took too long.
            FileTooLarge: more was received than a file and the form around it may have.
        """
        started = time.monotonic()
        async with _time_limit(self._allowance):
            yield
        received = self._content.total_bytes - self._total
        self._total += received
        waited = time.monotonic() - started
        self._allowance += received / self._bytes_per_second - waited
        self._allowance = min(self._allowance, self._idle_seconds)
        if self._total > self._max_bytes + FORM_OVERHEAD_BYTES + READ_AHEAD_BYTES:
            raise FileTooLarge(self._max_bytes)


async def _body_chunks(request: web.Request, pace: _Pace) -> AsyncIterator[bytes]:
    await send_continue(request)
    while True:
        with _translate_body_errors():
            async with pace.wait():
                chunk = await request.content.readany()
        if not chunk:
            return
        yield chunk


async def _form_parts(request: web.Request, pace: _Pace) -> AsyncIterator[BodyPartReader]:
    await send_continue(request)
    # Otherwise Python prints and remembers every header that aiohttp cannot read.
    for category in (BadContentDispositionHeader, BadContentDispositionParam):
        warnings.filterwarnings("ignore", category=category)
    with _translate_body_errors():
        form = _FormReader(
            request.headers,
            request.content,
            max_field_size=MAX_PART_HEADER_CHARACTERS,
            max_headers=MAX_PART_HEADERS,
        )
    while True:
        with _translate_body_errors():
            async with pace.wait():
                part = await form.next()
        if part is None:
            return
        if isinstance(part, MultipartReader):
            raise MalformedMultipart("A part of the form is itself multipart.")
        encoding = part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "binary").lower()
        if hdrs.CONTENT_ENCODING in part.headers or encoding not in {"binary", "8bit", "7bit"}:
            raise ContentEncodingUnsupported
        yield part


async def _part_chunks(part: BodyPartReader, pace: _Pace) -> AsyncIterator[bytes]:
    while True:
        with _translate_body_errors():
            async with pace.wait():
                chunk = await part.read_chunk(CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


async def _read_field(part: BodyPartReader, pace: _Pace) -> str:
    value = bytearray()
    async for chunk in _part_chunks(part, pace):
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
    except (aiohttp.ClientError, web.RequestPayloadError, PayloadEncodingError, ConnectionError) as error:
        raise UploadCutOff from error
    # Of the multipart reader; the last one for the headers of a part.
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError) as error:
        raise MalformedMultipart from error


@asynccontextmanager
async def _time_limit(seconds: float, detail: str | None = None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise UploadStalled(detail) from error


def clean_file_name(name: str | None) -> str | None:
    """Keep the last component of a path, without unprintable characters."""
    last = re.split(r"[/\\]", name or "")[-1]
    printable = "".join(character for character in last if character.isprintable())
    return printable[-MAX_FILE_NAME_CHARACTERS:] or None
