"""The command line `retainwise-contracts`: look at the contracts, check messages, compare releases."""

import argparse
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from retainwise_contracts.codec import MESSAGES, decode
from retainwise_contracts.compatibility import RULES, Verdict, compare_releases, worst
from retainwise_contracts.errors import ContractError
from retainwise_contracts.examples import load_example
from retainwise_contracts.releases import list_releases, load_released_schemas
from retainwise_contracts.schemas.json_schema import generate_schema

INSTALLED = "installed"
"""As OLD or NEW of `explain`: the schemas of the package that runs."""


class NotUsable(Exception):
    """An argument names nothing that can be used; the text says what it may name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 for yes, 1 for no, 2 if it cannot tell."""
    options = _build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (NotUsable, OSError) as error:
        print(f"retainwise-contracts: {error}", file=sys.stderr)  # noqa: T201 a command's output
        return 2


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="retainwise-contracts", description=__doc__)
    parser.add_argument("--version", action="version", version=version("retainwise-contracts"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    show = commands.add_parser("show", help="the fields of a message type, and an example")
    show.add_argument("type", metavar="TYPE", help=f"one of {', '.join(MESSAGES)}")
    show.set_defaults(run=_show)

    validate = commands.add_parser("validate", help="whether this release can read a message")
    validate.add_argument("file", metavar="FILE", help="a file with one message, or - for standard input")
    validate.set_defaults(run=_validate)

    explain = commands.add_parser(
        "explain", help="what changed between two releases, and who is deployed first"
    )
    for name in ("old", "new"):
        explain.add_argument(
            name, metavar=name.upper(), help=f"a version, a folder of JSON Schemas, or {INSTALLED}"
        )
    explain.set_defaults(run=_explain)

    can_deploy = commands.add_parser(
        "can-i-deploy", help="whether this release can read all that is in the queues; needs the extra [aws]"
    )
    can_deploy.add_argument("--queue-url", required=True)
    can_deploy.add_argument("--dead-letter-url", required=True)
    can_deploy.add_argument("--limit", type=int, default=1000, help="messages to look at in each queue")
    can_deploy.add_argument(
        "--patience", type=float, default=90, help="seconds to wait for dead letters that a worker looks at"
    )
    can_deploy.set_defaults(run=_can_i_deploy)
    return parser


def _show(options: argparse.Namespace) -> int:
    model = MESSAGES.get(options.type)
    if model is None:
        raise NotUsable(f"there is no type {options.type}; there are: {', '.join(MESSAGES)}")
    _print(f"{options.type}\n\n{inspect.getdoc(model)}\n")
    schema = generate_schema(options.type)
    for name, field in schema["properties"].items():
        unit = f" [{field['unit']}]" if "unit" in field else ""
        optional = "" if name in schema["required"] else " (optional)"
        _print(f"  {name}{optional}{unit}  {field.get('description', '')}".rstrip())
    _print(f"\nExample:\n{load_example(options.type)}")
    return 0


def _validate(options: argparse.Namespace) -> int:
    body = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    try:
        message = decode(body)
    except ContractError as error:
        _print(f"{type(error).__name__}: {error}")
        return 1
    _print(f"valid: {message.type}")
    return 0


def _explain(options: argparse.Namespace) -> int:
    changes = compare_releases(_load_schemas(options.old), _load_schemas(options.new))
    for change in sorted(changes, key=lambda change: list(Verdict).index(RULES[change.kind].verdict)):
        _print(str(change))
    verdict = worst(changes)
    _print(f"{len(changes)} changes; the gravest is {verdict}" if changes else "no change")
    return 0 if verdict in (Verdict.PATCH, Verdict.MINOR) else 1


def _load_schemas(name: str) -> Mapping[str, Mapping[str, Any]]:
    if name == INSTALLED:
        return {message_type: generate_schema(message_type) for message_type in MESSAGES}
    if name in list_releases():
        return load_released_schemas(name)
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in Path(name).glob("retainwise.*.json")}
    if not found:
        raise NotUsable(f"{name} is no version ({', '.join(list_releases())}) and no folder of JSON Schemas")
    return found


def _can_i_deploy(options: argparse.Namespace) -> int:
    try:
        from retainwise_contracts.queues import judge, peek  # the extra may be missing
    except ImportError as error:
        raise NotUsable("can-i-deploy needs boto3: install retainwise-contracts[aws]") from error
    queue = judge("queue", peek(options.queue_url, limit=options.limit))
    # The workers look at dead letters too, and hide them for a minute each time.
    dead_letters = peek(options.dead_letter_url, limit=options.limit, patience_seconds=options.patience)
    dead = judge("dead-letter queue", dead_letters)
    _print(f"{queue}\n{dead}")
    release = version("retainwise-contracts")
    if not (queue.readable and dead.readable):
        _print(f"no: {release} cannot read all of them")
        return 1
    if dead.unseen:
        _print("unknown: not all dead letters could be looked at, try again")
        return 2
    _print(f"yes: {release} can read them")
    return 0


def _print(text: str) -> None:
    print(text)  # noqa: T201 a command's output


if __name__ == "__main__":
    sys.exit(main())
