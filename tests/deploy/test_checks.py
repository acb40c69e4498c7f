"""The checks themselves: what they need and do not find is a failure with a sentence, never a pass."""

import json
import re

import pytest

from deploy.checks.faults import FAULTS, TERRAFORM, Fault, FaultDoesNotApply
from deploy.checks.images import read_steps
from deploy.checks.permissions import _name
from deploy.checks.prometheus import write_rule
from deploy.checks.terraform import Terraform, TerraformFailed
from deploy.checks.wiring import CHECKS
from tests.conftest import ROOT

TABLE = ROOT / "deploy" / "alarms.json"


def test_every_fault_applies_to_the_deployment_as_it_is():
    for fault in FAULTS:
        folder = ROOT / (".github/workflows" if fault.workflow else "deploy/terraform")
        assert fault.old in (folder / fault.file).read_text(), fault.name


def test_every_fault_names_a_check_and_every_check_has_a_fault():
    named = {fault.caught_by for fault in FAULTS} - {TERRAFORM}
    assert named <= CHECKS.keys()
    assert CHECKS.keys() - named <= {"alarms_are_the_table"}  # Terraform makes them from the table


def test_fault_that_no_longer_applies_is_an_error(tmp_path):
    (tmp_path / "queues.tf").write_text("maxReceiveCount = 7\n")
    fault = Fault("three receives", "queues.tf", "maxReceiveCount = 5", "maxReceiveCount = 3", "queues_agree")
    with pytest.raises(FaultDoesNotApply, match="three receives"):
        fault.plant(tmp_path)


def test_missing_terraform_is_a_failure_with_a_sentence(tmp_path):
    with pytest.raises(TerraformFailed, match=r"no-such-terraform was not found: install Terraform 1\.11"):
        Terraform("no-such-terraform", tmp_path).init()


def test_instructions_that_go_on_are_read_as_one():
    steps = read_steps("# why\nFROM python:3.11 AS build\nRUN one \\\n && two\nCOPY a b c/\n")
    assert [(step.instruction, re.sub(r"\s+", " ", step.text)) for step in steps] == [
        ("FROM", "python:3.11 AS build"),
        ("RUN", "one && two"),
        ("COPY", "a b c/"),
    ]


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("arn:aws:s3:::files", "${bucket_arn}"),
        ("arn:aws:s3:::files/uploads/acme/1.csv", "${bucket_arn}/uploads/*"),
        ("arn:aws:s3:::files-of-others/uploads/1.csv", "arn:aws:s3:::files-of-others/uploads/1.csv"),
    ],
)
def test_recorded_resource_is_named_as_in_the_policies(resource, name):
    assert _name(resource, {"bucket_arn": "arn:aws:s3:::files"}) == name


def test_alarm_table_has_for_each_alarm_why_and_a_page():
    alarms = json.loads(TABLE.read_text())["alarms"]
    assert len(alarms) >= 18
    for name, row in alarms.items():
        assert row["page"] == f"{name}.md"
        assert row["why"].endswith(".")
        assert row["severity"] in {"page", "ticket"}
        assert row["missing"] in {"breaching", "notBreaching"}
        assert row["comparison"] in {"GreaterThanThreshold", "LessThanThreshold"}


def test_rules_of_prometheus_are_those_of_the_table():
    """`python -m deploy.checks --only kubernetes --record` writes them."""
    rule = ROOT / "deploy" / "kubernetes" / "keda" / "prometheus-rule.yaml"
    assert rule.read_text() == write_rule(TABLE)
