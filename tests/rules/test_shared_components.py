"""What the HTTP API and the messages share is described alike in both published documents."""

import json

import pytest

from retainwise_contracts.compatibility import ChangeKind, compare_schemas
from retainwise_contracts.schemas import load_form
from retainwise_contracts.schemas.json_schema import KNOWN_VALUES
from tests.conftest import ROOT

API = ROOT / "producer_api/src/producer_api/http/openapi.json"
OURS, THEIRS = (
    json.loads(text)["components"]["schemas"]
    for text in (load_form("openapi-components.json"), API.read_text("utf-8"))
)
SHARED = sorted(OURS.keys() & THEIRS.keys())


def as_tolerant(schema):
    """The API's schema, with open enums open and additional properties allowed."""
    if isinstance(schema, list):
        return [as_tolerant(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    known = [value for value in schema.get("enum", ()) if str(value).upper() != "UNKNOWN"]
    tolerant = {name: as_tolerant(value) for name, value in schema.items()}
    if len(known) < len(schema.get("enum", ())):
        tolerant[KNOWN_VALUES] = known
        del tolerant["enum"]
    if tolerant.get("additionalProperties") is False:
        del tolerant["additionalProperties"]
    return tolerant


@pytest.mark.parametrize("name", SHARED)
def test_shared_model_is_described_alike(name):
    theirs = as_tolerant(THEIRS)
    changes = compare_schemas(OURS[name] | {"$defs": OURS}, theirs[name] | {"$defs": theirs}, name)
    assert [change for change in changes if change.kind is not ChangeKind.TEXT_CHANGED] == []


def test_most_of_the_models_are_shared():
    assert {"Failure", "PredictionEvent", "RiskDistribution", "Summary"} <= set(SHARED)
