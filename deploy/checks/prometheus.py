"""The rules of Prometheus, made from deploy/alarms.json; a test for each: it fires, and it stays silent."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FIRES_AFTER = "20m"


def rows(table: Path) -> dict[str, Mapping[str, Any]]:
    """Return the alarms that have an expression for Prometheus."""
    alarms = json.loads(table.read_text("utf-8"))["alarms"]
    return {name: row for name, row in alarms.items() if "prometheus" in row}


def write_rule(table: Path) -> str:
    """Return the text of the PrometheusRule."""
    return "\n".join(_rule_lines(table)) + "\n"


def _rule_lines(table: Path) -> Iterator[str]:
    yield "# Written by `python -m deploy.checks --only kubernetes --record` from deploy/alarms.json."
    yield "apiVersion: monitoring.coreos.com/v1"
    yield "kind: PrometheusRule"
    yield "metadata:"
    yield "  name: retainwise"
    yield "spec:"
    yield "  groups:"
    yield "    - name: retainwise"
    yield "      rules:"
    for name, row in rows(table).items():
        yield f"        - alert: {name}"
        yield f"          expr: {json.dumps(row['prometheus']['expression'])}"
        yield f"          for: {row['prometheus']['for']}"
        yield "          labels:"
        yield f"            severity: {row['severity']}"
        yield "          annotations:"
        yield f"            summary: {json.dumps(row['why'])}"
        yield f"            runbook: deploy/runbook/{row['page']}"


def write_tests(table: Path, rules: str) -> dict[str, Any]:
    """Return promtool's tests of all rules, which are in the file `rules`."""
    tests = []
    for name, row in rows(table).items():
        for fires in (True, False):
            series = row["prometheus"]["fires" if fires else "silent"]
            tests.append(
                {
                    "interval": "1m",
                    "name": f"{name} {'fires' if fires else 'stays silent'}",
                    "input_series": [{"series": key, "values": values} for key, values in series.items()],
                    # Counted, since what an alert is labelled with is the expression's business.
                    "promql_expr_test": [
                        {
                            "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                            "eval_time": FIRES_AFTER
                            if name.startswith(("below", "at-max", "api-slow"))
                            else "10m",
                            "exp_samples": [{"value": 1 if fires else 0}],
                        }
                    ],
                }
            )
    return {"rule_files": [rules], "evaluation_interval": "1m", "tests": tests}
