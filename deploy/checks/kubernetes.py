"""The manifests: valid, strictly and offline, agreeing with the services' settings, with rules that fire."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.checks.deployment import PROGRAMS
from deploy.checks.prometheus import rows, write_rule, write_tests
from deploy.checks.report import Report
from deploy.checks.tools import Tools
from producer_api.server import ABORT_SECONDS, ANSWER_SECONDS

CUSTOM = frozenset({"ScaledObject", "PrometheusRule"})


def check_kubernetes(report: Report) -> None:
    """Check all manifests, and the rules of Prometheus with promtool."""
    rule = report.root / "deploy" / "kubernetes" / "keda" / "prometheus-rule.yaml"
    written = write_rule(report.root / "deploy" / "alarms.json")
    if report.record:
        rule.write_text(written, "utf-8")
    elif rule.read_text("utf-8") != written:
        report.problem(f"{rule.name} is not what alarms.json says: run with --only kubernetes --record")
    tools = Tools(report)
    if not tools.ready or (manifests := build_manifests(report)) is None:
        return
    _check_schemas(manifests, tools, report)
    problems = list(check_pods(manifests))
    for problem in problems:
        report.problem(f"kubernetes: {problem}")
    if not problems:
        report.line("manifests agree with the services' settings")
    _test_rules(report)


def build_manifests(report: Report) -> list[dict[str, Any]] | None:
    """Return all resources as kubectl's kustomize makes them; None if it cannot."""
    folder = report.root / "deploy" / "kubernetes" / "keda"
    if not shutil.which("kubectl"):
        report.problem("kubectl was not found: install it, for its kustomize")
        return None
    done = subprocess.run(["kubectl", "kustomize", str(folder)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        report.problem(f"kubectl kustomize: {done.stderr}")
        return None
    return [resource for resource in yaml.safe_load_all(done.stdout) if resource]


def _check_schemas(manifests: list[dict[str, Any]], tools: Tools, report: Report) -> None:
    report.work.mkdir(parents=True, exist_ok=True)
    plain, custom = report.work / "manifests.yaml", report.work / "custom.json"
    plain.write_text(yaml.safe_dump_all(each for each in manifests if each["kind"] not in CUSTOM), "utf-8")
    custom.write_text(json.dumps([each for each in manifests if each["kind"] in CUSTOM]), "utf-8")
    what = f"kubernetes-validate of {len(manifests)} manifests"
    tools.run(what, "kubernetes-validate", "--strict", "--quiet", str(plain))
    round_trip = Path(__file__).with_name("models_round_trip.py")
    tools.run("round trip of KEDA's and Prometheus's resources", "python", str(round_trip), str(custom))


def check_pods(manifests: list[dict[str, Any]]) -> Iterator[str]:
    """Yield where a pod is not given what its program needs, or would be treated badly."""
    maps = {_name(each): each["data"] for each in manifests if each["kind"] == "ConfigMap"}
    pods = {
        _name(each): each["spec"]["template"]["spec"] for each in manifests if each["kind"] == "Deployment"
    }
    for program in ("producer", "worker"):
        for container in (*pods[program]["initContainers"], *pods[program]["containers"]):
            yield from _check_container(program, container, _given(container, maps))
        (main,) = pods[program]["containers"]
        if main["livenessProbe"]["httpGet"]["path"] != "/livez":
            yield f"{program}: its liveness probe does not ask for /livez"
        needed = _stop_seconds(program, _given(main, maps))
        if pods[program]["terminationGracePeriodSeconds"] <= needed:
            yield f"{program} is killed before it had {needed:.0f} s to stop"


def _check_container(program: str, container: Mapping[str, Any], given: Mapping[str, str]) -> Iterator[str]:
    fields = {name.upper(): field for name, field in PROGRAMS[program].model_fields.items()}
    for name in sorted(given.keys() - fields.keys()):
        yield f"{program} is given {name}, which it does not read"
    for name, field in fields.items():
        if field.is_required() and name not in given:
            yield f"{program} needs {name} and is not given it"
    if "@sha256:" not in container["image"]:
        yield f"{program}: {container['image']} is not by digest"


def _given(container: Mapping[str, Any], maps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the variables of a container; one from a secret has no value here."""
    given = {variable["name"]: variable.get("value", "") for variable in container.get("env", ())}
    for source in container.get("envFrom", ()):
        given |= maps[source["configMapRef"]["name"]]
    return given


def _stop_seconds(program: str, given: Mapping[str, str]) -> float:
    """Return how long a program may take to stop."""
    fields = PROGRAMS[program].model_fields

    def value(name: str) -> float:
        return float(given.get(name.upper(), fields[name].default))

    if program == "producer":
        return (
            value("shutdown_delay_seconds") + value("shutdown_grace_seconds") + ABORT_SECONDS + ANSWER_SECONDS
        )
    return value("shutdown_grace_seconds")


def _name(resource: Mapping[str, Any]) -> str:
    name: str = resource["metadata"]["name"]
    return name


def _test_rules(report: Report) -> None:
    """Have promtool check every rule, and see it fire and stay silent."""
    if not shutil.which("promtool"):
        report.problem("promtool was not found: install Prometheus (Debian: apt-get install prometheus)")
        return
    table = report.root / "deploy" / "alarms.json"
    rules, tests = report.work / "rules.yaml", report.work / "rules.test.yaml"
    rules.write_text(json.dumps({"groups": yaml.safe_load(write_rule(table))["spec"]["groups"]}), "utf-8")
    tests.write_text(json.dumps(write_tests(table, rules.name)), "utf-8")
    for arguments in (["check", "rules", str(rules)], ["test", "rules", str(tests)]):
        done = subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            report.problem(f"promtool {' '.join(arguments[:2])}: {done.stdout}{done.stderr}")
            return
    count = len(rows(table))
    report.line(f"prometheus rules {count}/{count}: each fires and stays silent (promtool)")
