"""The project's own services as parts of the local stack: their environment and their readiness."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from deploy.local.database import DatabaseUrls
from deploy.local.errors import LocalStackError
from deploy.local.issuer import Issuer
from deploy.local.ports import HOST, Ports
from deploy.local.process import Child
from deploy.local.provision import CREDENTIALS, REGION, Provisioned
from deploy.local.sign_in import AUTHORIZE_PATH, CONSOLE_CLIENT, TOKEN_PATH

READY_TIMEOUT_SECONDS = 60.0
"""A start takes about two seconds on an idle machine."""

READY_POLL_SECONDS = 0.05

GRACE_SECONDS = 8
"""How long a service may take to stop: short, so that Ctrl-C ends the stack within seconds."""

RECONCILE_SECONDS = 5
"""Production has a minute; a developer should not wait that long."""

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR")
"""The only variables the services inherit: no AWS profile, OTEL exporter or proxy reaches them."""


class Service:
    """`python -m <module>` as a child process, ready when `/readyz` answers 200."""

    def __init__(self, name: str, module: str, port: int, *, env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.module = module
        self.env = env
        self.url = f"http://{HOST}:{port}"
        self.child = Child(
            name,
            # -P: the checkout's folders have the same names as the packages in them
            [sys.executable, "-P", "-m", module],
            env=env,
            log=log,
        )

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            LocalStackError: it exits, or is not ready in time; the text has its last readiness response.
        """
        await self.child.start()
        readiness = "no response"
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
                while readiness != "ready":
                    if not self.child.running:
                        raise LocalStackError(
                            f"{self.name} exited during startup, see {self.child.log}:\n"
                            f"{self.child.last_lines()}"
                        )
                    await asyncio.sleep(READY_POLL_SECONDS)
                    readiness = await self._readiness(session)
        except TimeoutError:
            raise LocalStackError(
                f"{self.name} was not ready within {READY_TIMEOUT_SECONDS:.0f} s "
                f"(last response: {readiness}), see {self.child.log}"
            ) from None

    async def _readiness(self, session: aiohttp.ClientSession) -> str:
        try:
            async with session.get(f"{self.url}/readyz", timeout=aiohttp.ClientTimeout(total=5)) as answer:
                return "ready" if answer.status == 200 else await answer.text()
        except (aiohttp.ClientError, OSError):
            return "no response"


def build_services(
    ports: Ports,
    issuer: Issuer,
    provisioned: Provisioned,
    urls: DatabaseUrls,
    state: Path,
    credentials: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Service]:
    """Return the API and the workers with production's environment, but for addresses and short timings.

    `credentials` are those of `producer_api` and `consumer_worker`, where the emulator tells callers apart.
    """
    credentials = credentials or {}
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    shared = inherited | {
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://{HOST}:{ports.emulator}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PREDICTIONS_QUEUE_URL": provisioned.queue_url,
        "BUCKET_NAME": provisioned.bucket,
        "LOG_LEVEL": "INFO",
        "SHUTDOWN_GRACE_SECONDS": str(GRACE_SECONDS),
        "PYTHONUNBUFFERED": "1",
    }
    api = Service(
        "producer_api",
        "producer_api",
        ports.api,
        env=shared
        | {
            **credentials.get("producer_api", CREDENTIALS),
            "DATABASE_URL": urls.producer,
            "HTTP_HOST": HOST,
            "HTTP_PORT": str(ports.api),
            "ADMIN_PORT": "0",  # nobody scrapes it here
            "SHUTDOWN_DELAY_SECONDS": "0",  # there is no load balancer
            "PREDICTION_EVENTS_TOPIC_ARN": provisioned.topic_arn,
            "JWKS_URL": issuer.jwks_url,
            "JWT_ISSUER": issuer.issuer,
            "JWT_AUDIENCE": issuer.audience,
            "CONSOLE_OIDC_AUTHORIZE_URL": f"{issuer.issuer}{AUTHORIZE_PATH}",
            "CONSOLE_OIDC_TOKEN_URL": f"{issuer.issuer}{TOKEN_PATH}",
            "CONSOLE_OIDC_CLIENT_ID": CONSOLE_CLIENT,
            "CORS_ALLOWED_ORIGINS": "http://localhost:3000,http://localhost:5173",
        },
        log=state / "logs" / "producer_api.log",
    )
    workers = []
    for replica, port in enumerate(ports.workers, start=1):
        name = f"consumer_worker-{replica}"
        worker = {
            **credentials.get("consumer_worker", CREDENTIALS),
            "DATABASE_URL": urls.worker,
            "PREDICTIONS_DLQ_URL": provisioned.dlq_url,
            "HEALTH_HOST": HOST,
            "HEALTH_PORT": str(port),
            "RECONCILE_SECONDS": str(RECONCILE_SECONDS),
            "SCRATCH_DIRECTORY": str(state / "scratch"),
        }
        log = state / "logs" / f"{name}.log"
        workers.append(Service(name, "consumer_worker", port, env=shared | worker, log=log))
    return [api, *workers]
