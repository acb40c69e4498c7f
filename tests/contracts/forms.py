"""Validates each published form with a tool that others wrote."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from retainwise_contracts.codec import MESSAGES, schema_name
from retainwise_contracts.examples import load_example
from retainwise_contracts.releases import load_corpus
from retainwise_contracts.schemas import load_form, load_schema
from retainwise_contracts.schemas.__main__ import generate_forms
from tests.contracts.distribution import read_version, run
from tests.contracts.kept import ROOT

NODE_SOURCE = Path(__file__).with_name("node")
NPM_TIMEOUT_SECONDS = 300
TYPESCRIPT = "retainwise-contracts.d.ts"


_WRONG_USER = """
import type { Failure } from "./retainwise-contracts";
export const failure: Failure = { code: 7, fault: "user", retryable: false, message: "" };
"""


class FormInvalid(Exception):
    """A published form is not what its tool accepts; the text says why."""


def check_forms(folder: Path) -> tuple[str, ...]:
    """Check every form; returns their names. `folder` is for what TypeScript compiles.

    Raises:
        FormInvalid: a form is out of date or invalid.
    """
    for name, text in generate_forms(read_version()).items():
        if load_form(name) != text:
            raise FormInvalid(f"{name} is out of date, run: make schemas")
    node = prepare_node()
    checks: Mapping[str, Callable[[], None]] = {
        "JSON Schema": check_json_schemas,
        "OpenAPI": check_openapi,
        "AsyncAPI": lambda: check_asyncapi(node, load_form("asyncapi.json")),
        "TypeScript": lambda: check_typescript(node, folder, create_typescript_users()),
    }
    for check in checks.values():
        check()
    broken: Mapping[str, Callable[[], None]] = {
        "AsyncAPI": lambda: check_asyncapi(
            node, load_form("asyncapi.json").replace('"messages"', '"mesages"')
        ),
        "TypeScript": lambda: check_typescript(node, folder, {"reader.ts": _WRONG_USER}),
    }
    for name, check in broken.items():
        try:
            check()
        except FormInvalid:
            continue
        raise FormInvalid(f"the validator of {name} accepts anything")
    return tuple(checks)


def check_json_schemas() -> None:
    """Each schema is one, its example and corpus satisfy it, and a broken example does not."""
    envelope = json.loads(load_form("envelope.json"))
    for message_type in MESSAGES:
        schema = json.loads(load_schema(message_type))
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema, format_checker=FormatChecker())
        message = json.loads(load_example(message_type))
        bodies = [
            message,
            *(json.loads(sent.body) for sent in load_corpus() if sent.name.startswith(message_type)),
        ]
        for body in bodies:
            Draft202012Validator(envelope).validate(body)
            validator.validate(body["data"])
        for field in schema["required"]:
            broken = {name: value for name, value in message["data"].items() if name != field}
            if validator.is_valid(broken):
                raise FormInvalid(f"{schema_name(message_type)} accepts a message without {field}")


def check_openapi() -> None:
    """The components are valid OpenAPI 3.1."""
    OpenAPIV31SpecValidator(json.loads(load_form("openapi-components.json"))).validate()


def check_asyncapi(node: Path, document: str) -> None:
    """AsyncAPI's own parser accepts the document. Raises FormInvalid."""
    done = subprocess.run(
        ["node", "asyncapi.mjs"],
        cwd=node,
        input=document,
        capture_output=True,
        text=True,
        timeout=NPM_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise FormInvalid(f"asyncapi.json: {done.stdout}{done.stderr}")


def check_typescript(node: Path, folder: Path, users: Mapping[str, str]) -> None:
    """The compiler accepts the types, and programs that use them. Raises FormInvalid."""
    (folder / TYPESCRIPT).write_text(load_form(TYPESCRIPT))
    for name, program in users.items():
        (folder / name).write_text(program)
    compiler = node / "node_modules" / "typescript" / "bin" / "tsc"
    options = [
        "--noEmit",
        "--strict",
        "--exactOptionalPropertyTypes",
        "--skipLibCheck",
        "false",
        "--types",
        "",
    ]
    done = subprocess.run(
        ["node", str(compiler), *options, TYPESCRIPT, *users],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=NPM_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise FormInvalid(f"{TYPESCRIPT}: {done.stdout}{done.stderr}")


def create_typescript_users() -> dict[str, str]:
    """Programs as a team would write them: each example as a typed constant, and a switch over the types."""
    examples = "\n".join(
        f"export const example{number}: Message = {load_example(message_type)};"
        for number, message_type in enumerate(MESSAGES)
    )
    reader = """
export function describe(message: Message): string {
  switch (message.type) {
    case "retainwise.prediction.completed.v1":
      return `${message.data.rows.scored} scored, ${message.data.risk_distribution.high} at high risk`;
    case "retainwise.prediction.failed.v1":
      return message.data.failure?.code ?? message.data.status;
    default:
      return message.subject;
  }
}
"""
    return {"reader.ts": f'import type {{ Message }} from "./retainwise-contracts";\n{examples}\n{reader}'}


def prepare_node() -> Path:
    """A folder with the locked node packages, installed once for each lock file; no package's code is run."""
    lock = NODE_SOURCE / "package-lock.json"
    folder = ROOT / ".local" / "environments" / f"node-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(NODE_SOURCE, folder)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], folder)
        (folder / "complete").touch()
    shutil.copy(NODE_SOURCE / "asyncapi.mjs", folder)
    return folder
