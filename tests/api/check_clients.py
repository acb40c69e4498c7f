"""Clients that others' tools generate from the document: their types fit, and the whole flow works.

The tools are installed once for each version of their lock files, below `.local/environments`.
"""

import asyncio
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from producer_api.http.openapi import DOCUMENT
from tests.api.stack import ROOT, ApiStack

HERE = Path(__file__).parent / "clients"
ENVIRONMENTS = ROOT / ".local" / "environments"

CUSTOMERS = (
    b"customerID,Loyalty,Contract,MonthlyCharges,InternetService,PaymentMethod\n"
    b"a-1,2,Month-to-month,70.35,Fiber optic,Electronic check\n"
    b"a-2,60,Two year,20.10,No,Mailed check\n"
    b"a-3,9,Month-to-month,89.90,Fiber optic,Electronic check\n"
)
"""One header must be mapped by hand."""


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Generate both clients, check their types and walk the flow with each."""
    folder = stack.folder / "clients"
    folder.mkdir()
    file = folder / "customers.csv"
    file.write_bytes(CUSTOMERS)
    for language, walk in (("typescript", _walk_typescript), ("python", _walk_python)):
        tenant = stack.tenant(language)
        token = tenant.headers["Authorization"].removeprefix("Bearer ")
        written = await walk(folder / language, (stack.url, token, str(file)))
        print(f"clients: {language} {json.loads(written.splitlines()[-1])}")
    return {"client_flows": 2}


async def _walk_typescript(folder: Path, arguments: Sequence[str]) -> str:
    modules = await _install_typescript()
    shutil.copytree(HERE / "typescript", folder)
    (folder / "node_modules").symlink_to(modules)
    tools = folder / "node_modules" / ".bin"
    generate = [str(tools / "openapi-typescript"), str(DOCUMENT), "--output", "api.d.ts"]
    # Otherwise a field with a default would have to be sent.
    await _execute([*generate, "--default-non-nullable", "false"], folder)
    await _execute([str(tools / "tsc")], folder)
    return await _execute(["node", "built/flow.js", *arguments], folder)


async def _walk_python(folder: Path, arguments: Sequence[str]) -> str:
    environment = await _install_python()
    shutil.copytree(HERE / "python", folder)
    binaries = {"PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}
    generate = [
        *(str(environment / "bin" / "openapi-python-client"), "generate", "--meta", "none"),
        *("--path", str(DOCUMENT), "--config", "config.yaml", "--output-path", "retainwise_client"),
        "--fail-on-warning",
    ]
    await _execute(generate, folder, binaries)
    check = [
        *(sys.executable, "-m", "mypy", "--config-file=", "--strict", "--follow-imports", "silent"),
        *("--python-executable", str(environment / "bin" / "python"), "flow.py"),
    ]
    await _execute(check, folder)
    return await _execute([str(environment / "bin" / "python"), "flow.py", *arguments], folder)


async def _install_typescript() -> Path:
    """Return a folder of modules as the lock file says."""
    folder = _environment("typescript", HERE / "typescript" / "package-lock.json")
    if not folder.exists():
        unfinished = _begin(folder)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / "typescript" / name, unfinished)
        await _execute(["npm", "ci", "--ignore-scripts"], unfinished)
        unfinished.rename(folder)
    return folder / "node_modules"


async def _install_python() -> Path:
    """Return a Python environment as the lock file says. Its scripts name its path, so it is not renamed."""
    lock = HERE / "python" / "client.lock"
    folder = _environment("python", lock)
    done = folder / "complete"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        install = [sys.executable, str(ROOT / "deploy" / "environment.py"), str(folder), "--lock", str(lock)]
        await _execute(install, ROOT)
        done.touch()
    return folder


def _environment(name: str, lock: Path) -> Path:
    return ENVIRONMENTS / f"client-{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"


def _begin(folder: Path) -> Path:
    unfinished = folder.with_name(f"{folder.name}-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    return unfinished


async def _execute(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed; return what it has written."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    written, _ = await process.communicate()
    text = written.decode(errors="replace")
    assert process.returncode == 0, f"{Path(command[0]).name} failed:\n{text[-3_000:]}"
    return text
