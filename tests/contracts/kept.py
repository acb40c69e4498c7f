"""The released versions of the contracts, as wheels in `contracts/released/`."""

import hashlib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "contracts" / "src"
RELEASED = ROOT / "contracts" / "released"
DIGESTS = RELEASED / "SHA256SUMS"
"""In the form that `sha256sum --check` reads."""

FROZEN_FOLDER = Path("retainwise_contracts/released")
"""The schemas and the corpus of each release, in the package."""


def list_kept() -> dict[str, Path]:
    """The wheel of each release that is still supported, by version."""
    return {wheel.name.split("-")[1]: wheel for wheel in sorted(RELEASED.glob("*.whl"))}


def unpack(wheel: Path, folder: Path) -> Path:
    """Unpack a wheel; the folder can then be put on PYTHONPATH."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def find_changed() -> list[str]:
    """Files of a release that are not as they were released, or that were added to one or removed from it."""
    known = {name: kept for kept, name in map(str.split, DIGESTS.read_text().splitlines())}
    changed = [wheel.name for wheel in RELEASED.glob("*.whl") if known.pop(wheel.name, None) != digest(wheel)]
    changed += known
    for version, wheel in list_kept().items():
        folder = FROZEN_FOLDER / version
        here = {
            path.relative_to(SOURCE).as_posix(): path.read_bytes()
            for path in (SOURCE / folder).rglob("*")
            if path.is_file()
        }
        with zipfile.ZipFile(wheel) as archive:
            released = {
                name: archive.read(name) for name in archive.namelist() if Path(name).is_relative_to(folder)
            }
        changed += [name for name in here.keys() | released if here.get(name) != released.get(name)]
    return sorted(changed)
