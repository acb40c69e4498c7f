"""`python -m tests.contracts.freeze` keeps this version of the contracts as a release: schemas and wheel.

From then on `make check-contracts` compares every change with it. `--replace` writes a version again, which
is allowed only as long as nobody else has it.
"""

import argparse
import json
import shutil
import sys

from retainwise_contracts.codec import MESSAGES, schema_name
from retainwise_contracts.schemas.json_schema import generate_schema
from tests.contracts.distribution import build, read_version
from tests.contracts.kept import DIGESTS, FROZEN_FOLDER, RELEASED, SOURCE, digest


def freeze(*, replace: bool) -> int:
    version = read_version()
    folder = SOURCE / FROZEN_FOLDER / version
    if not any((folder / "corpus").glob("*.json")):
        print(f"{folder}: write the corpus of {version} first, {{minimal, full, edge}} of each message")
        return 1
    if (folder / "schemas").exists():
        if not replace:
            print(f"{version} is released: its files never change. Raise the version first")
            return 1
        shutil.rmtree(folder / "schemas")
    (folder / "schemas").mkdir()
    for message_type in MESSAGES:
        text = json.dumps(generate_schema(message_type), indent=2, sort_keys=True, ensure_ascii=False)
        (folder / "schemas" / schema_name(message_type)).write_text(text + "\n", "utf-8")
    RELEASED.mkdir(exist_ok=True)
    build(RELEASED, "wheel")
    DIGESTS.write_text(
        "".join(f"{digest(wheel)}  {wheel.name}\n" for wheel in sorted(RELEASED.glob("*.whl")))
    )
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replace", action="store_true", help="write an unpublished version again")
    sys.exit(freeze(replace=parser.parse_args().replace))
