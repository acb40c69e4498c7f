"""A result of 1,000,000 rows is read whole through the API, and customers are explained as the model scores.

All rows in the order of the file, each once; the worklist by risk and by value; customers by their id; and
each customer of a second, odd file explained, against ONNX Runtime. All at the same time.
"""

import asyncio
import io
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import polars as pl

from ml_models.card import UNSEEN_CODE, CategoricalFeature
from ml_models.runtime import ChurnModel, load_model
from tests.api.stack import ApiStack, Tenant

MODEL = "telco-churn@1.0.0"
ROWS = 1_000_000
PAGE = 500
IDS = 1_000
EXPLAINED = 10_000
AT_A_TIME = 4

CHUNK_ROWS = 50_000


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Score both files; walk the large one; explain the customers of the odd one."""
    tenant = stack.tenant("rows")
    model = await asyncio.to_thread(load_model, MODEL)
    large = await tenant.predict(await asyncio.to_thread(large_file))
    odd = await tenant.predict(await asyncio.to_thread(_odd_file, model), confirm=_all_features(model))
    for prediction in (odd, large):
        finished = await tenant.finished(prediction["prediction_id"])
        assert finished["status"] == "COMPLETED", finished["failure"]
    before = stack.api_memory_mb("VmRSS")
    path = f"{large['links']['self']}/rows"
    worst, (unwalked, seconds), unlisted, unfound = await asyncio.gather(
        _explain(tenant, odd["links"]["self"], model),
        _walk_file(tenant, path),
        _walk_worklist(tenant, path),
        _find_ids(tenant, path),
    )
    return {
        "rows_missed": unwalked + unlisted + unfound,
        "explanation_max_error": worst,
        "rows_walked": ROWS,
        "ids_found": IDS,
        "ids_not_found": IDS,
        "explained": EXPLAINED,
        "page_p50_ms": round(1_000 * statistics.median(seconds), 1),
        "page_p95_ms": round(1_000 * statistics.quantiles(seconds, n=20)[-1], 1),
        "api_mb_before_walk": round(before),
        "api_peak_mb": round(stack.api_memory_mb()),
    }


def large_file() -> bytes:
    """Return 1,000,000 customers that differ, in the few columns that the model needs."""
    draw = np.random.default_rng(10)
    file = io.BytesIO()
    contracts = np.array(["Month-to-month", "One year", "Two year"])
    services = np.array(["DSL", "Fiber optic", "No"])
    for start in range(0, ROWS, CHUNK_ROWS):
        pl.DataFrame(
            {
                "customerID": [_id(number) for number in range(start, start + CHUNK_ROWS)],
                "tenure": draw.integers(0, 73, CHUNK_ROWS),
                "Contract": contracts[draw.integers(0, 3, CHUNK_ROWS)],
                "MonthlyCharges": draw.integers(1_800, 11_900, CHUNK_ROWS) / 100,
                "InternetService": services[draw.integers(0, 3, CHUNK_ROWS)],
            }
        ).write_csv(file, include_header=start == 0)
    return file.getvalue()


def _id(number: int) -> str:
    # Neither sorted nor dense, so that the statistics of the file find none of them.
    return f"c{number * 7_919 % ROWS:07}"


async def _pages(tenant: Tenant, path: str, **parameters: str) -> AsyncIterator[tuple[dict[str, Any], float]]:
    """Yield the pages of a list, each with the seconds that it took."""
    cursor: dict[str, str] = {}
    while True:
        began = time.perf_counter()
        answer = await tenant.get(path, params={"limit": str(PAGE), **parameters, **cursor})
        assert answer.status == 200, answer
        yield answer.content, time.perf_counter() - began
        if answer.content["next_cursor"] is None:
            return
        cursor = {"cursor": answer.content["next_cursor"]}


async def _walk_file(tenant: Tenant, path: str) -> tuple[int, list[float]]:
    """Return how many rows are missed, doubled or misplaced, and the seconds of each page but the first."""
    expected, wrong, seconds = 0, 0, []
    async for page, took in _pages(tenant, path, order="file"):
        for row in page["items"]:
            # The header is the first row of the file.
            wrong += (row["row_number"], row["customer_id"]) != (expected + 2, _id(expected))
            expected += 1
        seconds.append(took)
    return wrong + abs(ROWS - expected), seconds[1:]


async def _walk_worklist(tenant: Tenant, path: str) -> int:
    """Return how many rows of the worklist are missed or out of order, by risk and by value."""
    wrong = 0
    listed: dict[str, set[int]] = {}
    for order, figure in (("risk", "churn_probability"), ("value", "value_at_risk")):
        rows: list[tuple[float, int]] = []
        async for page, _ in _pages(tenant, path, order=order):
            assert page["truncated"] is True
            rows += [(-row[figure], row["row_number"]) for row in page["items"]]
        by_figure = rows if order == "risk" else [(figure, 0) for figure, _ in rows]
        wrong += sum(later < earlier for earlier, later in itertools.pairwise(by_figure))
        listed[order] = {number for _, number in rows}
        wrong += abs(len(rows) - 100_000) + abs(len(listed[order]) - len(rows))
    return wrong + len(listed["risk"] ^ listed["value"])


async def _find_ids(tenant: Tenant, path: str) -> int:
    """Return how many known ids are not found, and how many unknown ones are."""
    draw = random.Random(11)
    known = [_id(number) for number in draw.sample(range(ROWS), IDS)]
    unknown = [f"{customer_id[:-1]}x" for customer_id in known]
    free = asyncio.Semaphore(AT_A_TIME)

    async def find(customer_id: str) -> list[str]:
        async with free:
            answer = await tenant.get(path, params={"customer_id": customer_id})
        assert answer.status == 200, answer
        return [row["customer_id"] for row in answer.content["items"]]

    found = await asyncio.gather(*map(find, known + unknown))
    return sum(ids != [known[at]] if at < IDS else ids != [] for at, ids in enumerate(found))


def _all_features(model: ChurnModel) -> str:
    return ",".join(feature.name for feature in model.card.features)


def _odd_file(model: ChurnModel) -> bytes:
    """Return customers with every edge of every term, missing values and unknown categories."""
    draw = random.Random(12)
    terms = {term.feature: term for term in model.card.terms}
    columns: dict[str, list[str]] = {"customerID": [f"o-{number}" for number in range(EXPLAINED)]}
    for feature in model.card.features:
        term = terms[feature.name]
        if isinstance(feature, CategoricalFeature) or term.kind == "categorical":
            texts = [*feature.categories, "something else", ""]  # type: ignore[union-attr]  # categorical
            chances = [10.0] * len(feature.categories) + [1.0, 1.0]  # type: ignore[union-attr]
        else:
            edges = [edge for edge in term.edges if feature.valid_min <= edge <= feature.valid_max]
            texts = [f"{edge:.9g}" for edge in edges] + [f"{edge + 0.005:.9g}" for edge in edges] + [""]
            chances = [1.0] * len(texts)
        columns[feature.name] = draw.choices(texts, chances, k=EXPLAINED)
    return pl.DataFrame(columns).write_csv().encode()


async def _explain(tenant: Tenant, path: str, model: ChurnModel) -> float:
    """Return how far an explanation is from ONNX at most: in the probability, or in a contribution."""
    free = asyncio.Semaphore(AT_A_TIME)

    async def explain(number: int) -> dict[str, Any]:
        async with free:
            answer = await tenant.get(f"{path}/rows/{number}")
        assert answer.status in {200, 404}, answer  # some rows are rejected, for want of any value
        return dict(answer.content) if answer.status == 200 else {}

    rows = [row for row in await asyncio.gather(*map(explain, range(2, EXPLAINED + 2))) if row]
    assert len(rows) > EXPLAINED * 0.9, len(rows)
    features = model.card.features
    inputs = np.array(
        [[_input(feature, row["values"][feature.name]) for feature in features] for row in rows], np.float32
    )
    scored = model.predict(inputs)
    worst = float(np.abs(scored.probability - [row["churn_probability"] for row in rows]).max())
    for at, term in enumerate(model.card.terms):
        effects = [
            next(item["effect"] for item in row["contributions"] if item["feature"] == term.feature)
            for row in rows
        ]
        worst = max(worst, float(np.abs(scored.contributions[:, at] - effects).max()))
    return worst


def _input(feature: Any, value: float | str | None) -> float:
    """Return a value as the model reads it."""
    if value is None:
        return float("nan")
    if isinstance(feature, CategoricalFeature):
        return float(feature.categories.index(value)) if value in feature.categories else UNSEEN_CODE
    return float(value)
