"""The released schemas, and a corpus of messages as each release wrote them.

Both are append-only: a file of a released version never changes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

from retainwise_contracts.codec import decode_as_written

_FOLDER = files("retainwise_contracts") / "released"


@dataclass(frozen=True)
class CorpusMessage:
    """A message that a release wrote, and what every later reader has to understand."""

    release: str
    name: str
    """Its type and its case, `minimal`, `full` or `edge`: `retainwise.prediction.failed.v1.edge`."""
    body: str
    data: Mapping[str, Any]
    """The values of `data` as a reader of that release saw them."""

    def check(self) -> None:
        """Read the message with this release.

        Raises:
            ContractError: it cannot be read.
            ValueError: it is read, but a value differs; the text names the fields.
        """
        read = decode_as_written(self.body).data.model_dump(mode="json")
        if differing := ", ".join(found.where for found in find_differences(self.data, read, "data")):
            raise ValueError(f"{self.release} {self.name} reads differently: {differing}")


def list_releases() -> tuple[str, ...]:
    """Return the released versions, oldest first."""
    names = (entry.name for entry in _FOLDER.iterdir() if entry.is_dir())
    return tuple(sorted(names, key=lambda name: tuple(map(int, name.split(".")))))


def load_released_schemas(release: str) -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas of a release, by message type.

    Raises:
        FileNotFoundError: there is no such release.
    """
    schemas = (_FOLDER / release / "schemas").iterdir()
    return {entry.name.removesuffix(".json"): json.loads(entry.read_text("utf-8")) for entry in schemas}


def load_corpus() -> tuple[CorpusMessage, ...]:
    """Return the messages of all releases."""
    return tuple(
        CorpusMessage(
            release=release,
            name=entry.name.removesuffix(".json"),
            body=json.dumps(content["message"]),
            data=content["data"],
        )
        for release in list_releases()
        for entry in sorted((_FOLDER / release / "corpus").iterdir(), key=lambda entry: entry.name)
        for content in (json.loads(entry.read_text("utf-8")),)
    )


class Difference(NamedTuple):
    """A place where a reader sees something else than was written."""

    where: str
    expected: object
    actual: object
    """None also if the reader does not have it at all; then `missing` is true."""
    missing: bool = False


def find_differences(expected: object, actual: object, where: str) -> Iterator[Difference]:
    """Yield the places where `actual` lacks or changes a value of `expected`; it may have more fields."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for name, value in expected.items():
            if name in actual:
                yield from find_differences(value, actual[name], f"{where}.{name}")
            else:
                yield Difference(f"{where}.{name}", value, None, missing=True)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, (value, other) in enumerate(zip(expected, actual, strict=True)):
            yield from find_differences(value, other, f"{where}[{index}]")
    elif expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        yield Difference(where, expected, actual)
