"""`make check-contracts`: everything that other teams rely on, tried as they would.

Last line: JSON with `planted` and `classified` changes, `writers` and `readers` (releases), `lost_in_rolling`
predictions, and `forms_valid`, the published forms that another's tool accepts.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.contracts.distribution import build, check_distribution, create_environment
from tests.contracts.forms import check_forms
from tests.contracts.gate import run_gate
from tests.contracts.planted import run_planted
from tests.contracts.rolling import run_rolling
from tests.contracts.second_major import check_upcast, create_second_major
from tests.contracts.subscriber import check_subscriber
from tests.faults.stack import open_backends


async def run_live(folder: Path) -> int:
    """What needs a queue: the README's subscriber and both orders of a deploy; returns what was lost."""
    (wheel,) = build(folder / "dist", "wheel")
    python = create_environment(folder / "subscriber", f"{wheel}[aws]")
    async with open_backends(folder / "backends") as backends:
        await check_subscriber(python, folder, backends.emulator.endpoint_url)
        print("the README's subscriber handled a completed event")
        return await run_rolling(backends)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="check-contracts-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # PostgreSQL runs as another user if we are root
        for line in check_distribution(folder / "build"):
            print(line)
        forms = check_forms(folder)
        print(f"valid: {', '.join(forms)}")
        gate = run_gate(folder)
        for line in gate.forbidden:
            print(line)
        upcast = check_upcast(gate.last, create_second_major(folder / "second-major"))
        print(f"{upcast} messages upcast to a second major kept their meaning")
        planted, classified = run_planted()
        lost = asyncio.run(run_live(folder))
    print(
        json.dumps(
            {
                "planted": planted,
                "classified": classified,
                "writers": gate.writers,
                "readers": gate.readers,
                "lost_in_rolling": lost,
                "forms_valid": len(forms),
            }
        )
    )
    return 1 if gate.forbidden or classified != planted or lost else 0


if __name__ == "__main__":
    sys.exit(main())
