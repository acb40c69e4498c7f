"""The local stack in which each service may do what its policy grants, and nothing else."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from deploy.checks.enforced.emulator import (
    Decision,
    EnforcingEmulator,
    create_secrets,
    create_users,
    local_arns,
    read_decisions,
)
from deploy.local.database import database_urls
from deploy.local.ports import Ports
from deploy.local.provision import Names
from deploy.local.services import Service, build_services
from deploy.local.stack import Stack

USERS = {"producer_api": "producer", "consumer_worker": "worker"}
"""The services, and the programs whose policies they have."""


class EnforcedStack(Stack):
    """A stack whose services call AWS under their own policies. `decisions` gets every decision of IAM."""

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        *,
        emulator_environment: Path,
        print_line: Callable[[str], None],
        decisions: Path,
    ) -> None:
        super().__init__(
            folder, ports, emulator_environment=emulator_environment, print_line=print_line, durable=False
        )
        self.decisions = decisions
        self.arns: dict[str, str] = {}
        self.credentials: dict[str, dict[str, str]] = {}
        self._emulator = EnforcingEmulator(
            folder / "emulator",
            ports.emulator,
            environment=emulator_environment,
            log=self.logs / "emulator.log",
            decisions=decisions,
            durable=False,
        )

    async def _start_emulator(self) -> None:
        await super()._start_emulator()
        self.arns = local_arns(Names(), await create_secrets(self._emulator.endpoint_url))
        self.credentials = await create_users(self._emulator.endpoint_url, self.arns)
        self._credentials = {service: self.credentials[program] for service, program in USERS.items()}
        # Who is who and what is what, for those who read the decisions afterwards.
        names = {keys["AWS_ACCESS_KEY_ID"]: program for program, keys in self.credentials.items()}
        legend = json.dumps({"programs": names, "arns": self.arns})
        self.decisions.with_suffix(".legend.json").write_text(legend, "utf-8")

    async def build_services(
        self, name: str, users: Mapping[str, str], changes: Mapping[str, str] | None = None
    ) -> list[Service]:
        """Return an API and a worker beside those that run, each with a new user.

        `users` names the program whose policy each service has; `changes` replaces texts in the policies.
        """
        made = await create_users(self._emulator.endpoint_url, self.arns, f"{name}-", changes or {})
        credentials = {service: made[program] for service, program in users.items()}
        folder = self.folder / name
        await asyncio.to_thread((folder / "scratch").mkdir, parents=True, exist_ok=True)
        free = Ports.free(1)
        ports = replace(self.ports, api=free.api, workers=free.workers)
        urls = database_urls(self._server)
        return build_services(ports, self.issuer, self._provisioned, urls, folder, credentials)

    def decided(self, program: str) -> Iterator[Decision]:
        """Yield the decisions about one program so far."""
        key = self.credentials[program]["AWS_ACCESS_KEY_ID"]
        return (decision for decision in read_decisions(self.decisions) if decision.access_key == key)
