"""The emulator with IAM enforced, and in it a user for each program with its policy of production."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from aiobotocore.session import get_session

from deploy.local.emulator import SERVICES, Emulator
from deploy.local.provision import CREDENTIALS, REGION, Names

if TYPE_CHECKING:
    from aiobotocore.session import ClientCreatorContext

POLICIES = Path(__file__).parents[2] / "policies"
RECORDER = Path(__file__).with_name("recorder.py")
ACCOUNT = "000000000000"
"""The emulator's."""

PROGRAMS = ("producer", "worker", "migrate")


@dataclass(frozen=True)
class Decision:
    """One decision of IAM."""

    access_key: str
    action: str
    resource: str
    allowed: bool


class EnforcingEmulator(Emulator):
    """An emulator that denies what a caller's policy does not grant; every decision is in `decisions`."""

    def __init__(
        self, folder: Path, port: int, *, environment: Path, log: Path, decisions: Path, durable: bool = True
    ) -> None:
        super().__init__(
            folder,
            port,
            environment=environment,
            log=log,
            durable=durable,
            program=(RECORDER,),
            settings={
                "AUTH": "true",
                "SERVICES": f"{SERVICES},iam,secretsmanager",
                "DECISIONS": str(decisions.absolute()),
            },
        )


def local_arns(names: Names, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return what stands for the policies' `${…}` in the local stack; `secrets` are their ARNs by service."""
    return {
        "queue_arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{names.queue}",
        "dead_letter_queue_arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{names.dead_letter_queue}",
        "topic_arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:{names.topic}",
        "bucket_arn": f"arn:aws:s3:::{names.bucket}",
        "producer_secret_arn": secrets["producer"],
        "worker_secret_arn": secrets["worker"],
    }


def open_operator_client(service: str, endpoint_url: str) -> "ClientCreatorContext[Any]":
    """Open a client that may do everything."""
    return get_session().create_client(  # type: ignore[call-overload,no-any-return] # one of many services
        service,
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


async def create_secrets(endpoint_url: str) -> dict[str, str]:
    """Create the services' secrets without values, as Terraform does; return their ARNs by service."""
    async with open_operator_client("secretsmanager", endpoint_url) as secrets:
        return {
            service: (await secrets.create_secret(Name=f"{service}/database-url"))["ARN"]
            for service in ("producer", "worker")
        }


async def create_users(
    endpoint_url: str, arns: Mapping[str, str], prefix: str = "", changes: Mapping[str, str] | None = None
) -> dict[str, dict[str, str]]:
    """Create a user for each program, and return their credentials by program, as the SDK's variables.

    `prefix` begins the users' names, which may not be there yet; `changes` replaces texts in their policies.
    """
    credentials = {}
    async with open_operator_client("iam", endpoint_url) as iam:
        for program in PROGRAMS:
            text = (POLICIES / f"{program}.json").read_text("utf-8")
            for old, new in (changes or {}).items():
                text = text.replace(old, new)
            policy = Template(text).substitute(arns)
            user = prefix + program
            await iam.create_user(UserName=user)
            await iam.put_user_policy(UserName=user, PolicyName="calls", PolicyDocument=policy)
            key = (await iam.create_access_key(UserName=user))["AccessKey"]
            credentials[program] = {
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            }
    return credentials


def read_decisions(path: Path) -> Iterator[Decision]:
    """Yield the decisions made so far."""
    for line in path.read_text("utf-8").splitlines():
        yield Decision(*json.loads(line))
