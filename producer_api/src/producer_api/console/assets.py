"""The console's files, read once: they are small, and a request must not wait for the disk."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
        "csv": "text/csv; charset=utf-8",
        "woff2": "font/woff2",
        "txt": "text/plain; charset=utf-8",
    }
)
"""What is served, by the end of its name. All else in the folder is for developers."""

COMPRESSED = frozenset({"woff2"})
"""Files that are compressed already."""


@dataclass(frozen=True)
class Asset:
    """One file as it is sent."""

    content: bytes
    compressed: bytes | None
    """With gzip; None if that saves nothing."""
    media_type: str
    etag: str
    compressed_etag: str


def load_assets() -> Mapping[str, Asset]:
    """Return every file of the console by its path, such as `pages/new.js`."""
    return MappingProxyType(dict(_load(files(__package__))))


def _load(folder: Traversable, prefix: str = "") -> list[tuple[str, Asset]]:
    found: list[tuple[str, Asset]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _load(entry, f"{prefix}{entry.name}/")
        elif (suffix := entry.name.rpartition(".")[2]) in MEDIA_TYPES:
            found.append((f"{prefix}{entry.name}", _asset(entry.read_bytes(), suffix)))
    return found


def _asset(content: bytes, suffix: str) -> Asset:
    compressed = None if suffix in COMPRESSED else gzip.compress(content, 9, mtime=0)
    digest = hashlib.sha256(content).hexdigest()[:32]
    return Asset(
        content=content,
        compressed=compressed if compressed and len(compressed) < len(content) else None,
        media_type=MEDIA_TYPES[suffix],
        etag=f'"{digest}"',
        compressed_etag=f'"{digest}-gzip"',
    )
