"""Environments and key sets that a service is started with: it says what is wrong, and no secret."""

import asyncio
import gzip
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from deploy.local.ports import HOST, Ports
from tests.faults.leaks import Leaks
from tests.faults.oracle import Oracle
from tests.faults.report import Report
from tests.faults.stack import Backends, FaultStack, open_stack

PASSWORD = "planted-url-password"
CHECK_SECONDS = 40.0
MEMORY_BYTES = 1_500_000_000
"""Of address space: a key set that is a bomb does not get more."""

WITH_CREDENTIALS: Mapping[str, tuple[str, str]] = {
    "a database URL without a host": ("DATABASE_URL", f"postgresql://user:{PASSWORD}@/"),
    "a database URL with a bad port": ("DATABASE_URL", f"postgresql://user:{PASSWORD}@127.0.0.1:99999/x"),
    "a database nobody listens for": ("DATABASE_URL", f"postgresql://user:{PASSWORD}@127.0.0.1:1/x"),
    "a database URL of another kind": ("DATABASE_URL", f"mysql://user:{PASSWORD}@127.0.0.1/x"),
    "a key set's URL with a password": ("JWKS_URL", f"http://user:{PASSWORD}@127.0.0.1:1/keys"),
    "a queue's URL with a password": (
        "PREDICTIONS_QUEUE_URL",
        f"http://user:{PASSWORD}@127.0.0.1:1/000000000000/none",
    ),
    "an endpoint with a password": ("AWS_ENDPOINT_URL", f"http://user:{PASSWORD}@127.0.0.1:1"),
}


async def run(backends: Backends, oracle: Oracle, report: Report) -> None:
    """Run the checks of the API with each environment and each key set."""
    del oracle
    leaks = Leaks(report)
    leaks.plant(PASSWORD, "a password within a URL")
    async with open_stack("starts", backends) as stack:
        await stack.start_api()
        environment = dict(stack.api.child._env)
        for name, (variable, value) in WITH_CREDENTIALS.items():
            code, text = await _check(environment | {variable: value})
            leaks.look_at_text(f"start: {name}", text)
            if code not in {1, 2}:
                report.say(stack.name, f"WRONG: with {name} the check ends with {code}")
        sets = _key_sets(stack)
        async with _serve(sets) as url:
            for number, (name, (_, wanted)) in enumerate(sets.items()):
                code, text = await _check(environment | {"JWKS_URL": f"{url}/{number}"})
                leaks.look_at_text(f"key set: {name}", text)
                if code not in wanted:
                    report.stop_other(stack.name, f"with a key set of {name} the check ends with {code}")
        report.hostile_inputs += len(WITH_CREDENTIALS) + len(sets)
        report.say(stack.name, f"{len(WITH_CREDENTIALS)} environments, {len(sets)} key sets checked")


async def _check(environment: dict[str, str]) -> tuple[int | None, bytes]:
    """Run `producer_api check`; its code, None if it did not end, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *("prlimit", f"--as={MEMORY_BYTES}", sys.executable, "-P", "-m", "producer_api", "check"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        text, _ = await asyncio.wait_for(process.communicate(), CHECK_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None, b""
    return process.returncode, text


def _key_sets(stack: FaultStack) -> "dict[str, tuple[dict[str, Any] | bytes, set[int]]]":
    """Key sets, and the codes a check may end with: with a good key among bad ones, 0."""
    good = stack.issuer.jwks()["keys"][0]
    weak = rsa.generate_private_key(65_537, 1_024)
    weak_key = json.loads(RSAAlgorithm.to_jwk(weak.public_key())) | {"kid": "weak", "alg": "RS256"}
    private = json.loads(RSAAlgorithm.to_jwk(weak)) | {"kid": "private", "alg": "RS256"}
    return {
        "a key without an algorithm": ({"keys": [good, good | {"kid": "n", "alg": "none"}]}, {0}),
        "a key that is no object": ({"keys": [good, 7, None, []]}, {0, 1}),
        "a weak key": ({"keys": [good, weak_key]}, {0, 1}),
        "a private key": ({"keys": [good, private]}, {0, 1}),
        "a key of another curve": ({"keys": [good, good | {"kid": "c", "crv": "P-9"}]}, {0, 1}),
        "100,000 keys": ({"keys": [good] * 20_000}, {0, 1}),
        "a gzip bomb": (gzip.compress(b'{"keys": [' + b" " * 1_000_000_000 + b"]}", 1), {1}),
    }


@asynccontextmanager
async def _serve(sets: "Mapping[str, tuple[dict[str, Any] | bytes, set[int]]]") -> AsyncIterator[str]:
    contents = [content for content, _ in sets.values()]

    async def answer(request: web.Request) -> web.Response:
        content = contents[int(request.match_info["number"])]
        if isinstance(content, bytes):
            return web.Response(
                body=content, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
            )
        return web.json_response(content)

    app = web.Application()
    app.add_routes([web.get("/{number}", answer)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = Ports.free(0).api
    await web.TCPSite(runner, HOST, port).start()
    try:
        yield f"http://{HOST}:{port}"
    finally:
        await runner.cleanup()
