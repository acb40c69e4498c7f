"""What-if: the console's arithmetic is the model's, on 10,000 customers one value of which was changed."""

import asyncio
import csv
import json
import math

import numpy as np

from deploy.local.sample import SAMPLE
from ml_models.card import CategoricalFeature
from ml_models.runtime import load_model
from ml_models.terms import NumericTerm
from tests.api.stack import ROOT
from tests.browser.site import Site

CASES = 10_000
SCRIPT = ROOT / "producer_api" / "console" / "whatif.mjs"
MODEL = "telco-churn@1.0.0"


async def run(site: Site) -> dict[str, int | float]:
    """Compare both on every edge, unseen and missing values, and edits at random."""
    model = load_model(MODEL)
    features = model.card.features
    random = np.random.default_rng(3)
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        customers = list(csv.DictReader(file))
    cases, rows = [], []
    for number in range(CASES):
        values = {feature.name: _value(feature, customers[number % len(customers)]) for feature in features}
        edited = features[number % len(features)]
        term = model.card.terms[number % len(features)]
        values[edited.name] = _edit(edited, term, random)
        cases.append(values)
        rows.append([_encode(feature, values[feature.name]) for feature in features])
    expected = model.predict(np.array(rows, np.float32)).probability

    given = {"card": json.loads(model.card.model_dump_json()), "cases": cases}
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    written, _ = await process.communicate(json.dumps(given).encode())
    assert process.returncode == 0
    computed = np.array(json.loads(written))
    assert computed.shape == expected.shape
    return {"edits": CASES, "whatif_max_error": float(np.abs(computed - expected).max())}


def _value(feature, customer):
    text = customer.get(feature.name, "")
    if isinstance(feature, CategoricalFeature):
        return text if text in feature.categories else None
    try:
        return float(text)
    except ValueError:
        return None


def _edit(feature, term, random):
    kind = random.integers(10)
    if kind == 0:
        return None
    if isinstance(term, NumericTerm):
        edge = float(random.choice(np.array(term.edges)))
        if kind < 5:  # on an edge, or as near to it as a number of the browser can be
            return float(random.choice([edge, np.nextafter(edge, -np.inf), np.nextafter(edge, np.inf)]))
        return float(random.uniform(term.edges[0] - 10, term.edges[-1] * 1.2))
    return "never seen" if kind == 1 else str(random.choice(np.array(feature.categories)))


def _encode(feature, value):
    if value is None:
        return math.nan
    if isinstance(feature, CategoricalFeature):
        return feature.categories.index(value) if value in feature.categories else -1.0
    return value
