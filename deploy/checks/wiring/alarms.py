"""Alarms on what is emitted, that someone hears."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.checks.deployment import Deployment, as_list
from deploy.checks.wiring.registry import check


@check
def alarms_are_the_table(deployment: Deployment) -> Iterator[str]:
    """Each row of alarms.json is an alarm with its values, that can be met, and there is no other."""
    alarms = {
        address.split('"')[1]: values
        for address, values in deployment.all_of("aws_cloudwatch_metric_alarm")
        if address.startswith("aws_cloudwatch_metric_alarm.this[")
    }
    table = deployment.alarm_table["alarms"]
    for name in sorted(alarms.keys() ^ table.keys()):
        yield f"{name} is in one of alarms.json and Terraform only"
    for name in sorted(alarms.keys() & table.keys()):
        row, alarm = table[name], alarms[name]
        if row["datapoints"] > row["periods"]:
            yield f"{name}: {row['datapoints']} of {row['periods']} periods can never be"
        if (alarm["threshold"], alarm["treat_missing_data"]) != (row["threshold"], row["missing"]):
            yield f"{name}: Terraform's alarm differs from its row"


@check
def alarms_watch_what_is_emitted(deployment: Deployment) -> Iterator[str]:
    """Each metric of an alarm or a scaling policy is emitted, with just those dimensions."""
    emitted = {
        (entry["namespace"], metric, _dimensions(entry["dimensions"]))
        for entry in deployment.alarm_table["emitted"]
        for metric in entry["metrics"]
    }
    for where, namespace, name, dimensions in _watched(deployment):
        if (namespace, name, _dimensions(dimensions)) not in emitted:
            yield f"{where}: nobody emits {namespace} {name} with {dict(dimensions)}"
    for address, values in deployment.all_of("aws_cloudwatch_log_metric_filter"):
        (made,) = values["metric_transformation"]
        if not any((made["namespace"], made["name"]) == entry[:2] for entry in emitted):
            yield f"{address} writes {made['namespace']} {made['name']}, which alarms.json does not know"


@check
def alarms_reach_someone(deployment: Deployment) -> Iterator[str]:
    """Each alarm, event and budget goes to a topic that may be published to and that someone reads."""
    topic = deployment["aws_sns_topic.alerts"]["arn"]
    for address, values in deployment.all_of("aws_cloudwatch_metric_alarm"):
        actions = values["alarm_actions"] or ()
        scales = actions and all("scalingPolicy" in action for action in actions)
        if topic not in actions and not scales:
            yield f"{address} tells nobody"
    for address, values in deployment.all_of("aws_cloudwatch_event_target"):
        if values["arn"] != topic:
            yield f"{address} tells nobody"
    for notification in deployment["aws_budgets_budget.month"]["notification"]:
        if topic not in notification["subscriber_sns_topic_arns"]:
            yield "the budget tells nobody"
    statements = json.loads(deployment["aws_sns_topic_policy.alerts"]["policy"])["Statement"]
    senders = [sender for statement in statements for sender in as_list(statement["Principal"]["Service"])]
    for sender in ("cloudwatch", "events", "budgets"):
        if f"{sender}.amazonaws.com" not in senders:
            yield f"{sender} may not publish to the alerts' topic"
    if not any(values["topic_arn"] == topic for _, values in deployment.all_of("aws_sns_topic_subscription")):
        yield "nobody subscribes to the alerts' topic"


def _dimensions(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(given.items()))


def _watched(deployment: Deployment) -> Iterator[tuple[str, str, str, Mapping[str, str]]]:
    """Yield where a metric is watched, its namespace, name and dimensions."""
    for address, alarm in deployment.all_of("aws_cloudwatch_metric_alarm"):
        for metric in _inside(alarm, "metric_query", "metric"):
            yield address, metric["namespace"], metric["metric_name"], metric["dimensions"]
    for address, policy in deployment.all_of("aws_appautoscaling_policy"):
        path = (
            "target_tracking_scaling_policy_configuration",
            "customized_metric_specification",
            "metrics",
            "metric_stat",
            "metric",
        )
        for metric in _inside(policy, *path):
            named = {item["name"]: item["value"] for item in metric["dimensions"]}
            yield address, metric["namespace"], metric["metric_name"], named
    body = json.loads(deployment["aws_cloudwatch_dashboard.main"]["dashboard_body"])
    for widget in body["widgets"]:
        for namespace, name, *dimensions in widget["properties"].get("metrics", ()):
            pairs = dict(zip(dimensions[::2], dimensions[1::2], strict=True))
            yield f"the dashboard's “{widget['properties']['title']}”", namespace, name, pairs


def _inside(values: Mapping[str, Any], *path: str) -> Iterator[Mapping[str, Any]]:
    """Yield the blocks at the end of a path of nested blocks."""
    first, *rest = path
    for block in values[first] or ():
        if rest:
            yield from _inside(block, *rest)
        else:
            yield block
