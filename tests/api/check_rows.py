"""A result of 1,000,000 rows is read whole through the API, and customers are explained as the model scores.

All rows in the order of the file, each once; the worklist by risk and by value; customers by their id; and
each customer of a second, odd file explained, against ONNX Runtime.
"""

import asyncio
import io
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import aiohttp
import numpy as np
import polars as pl

from ml_models.card import UNSEEN_CODE, CategoricalFeature
from ml_models.runtime import ChurnModel, load_model
from producer_api.rows.resource import explained_resource
from producer_api.rows.results import values_of
from retainwise_contracts.results import MAX_WORKLIST_ROWS
from tests.api.stack import ApiStack, Tenant

MODEL = "telco-churn@1.0.0"
ROWS = 1_000_000
PAGE = 500
TIMED_PAGES = 200
BY_VALUE = 10_000
IDS = 1_000
EXPLAINED = 10_000
ASKED_EVERY = 20
AT_A_TIME = 4

CHUNK_ROWS = 50_000

_T = TypeVar("_T")


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
    timed = asyncio.Event()
    (unwalked, seconds), worst, unlisted, unfound = await asyncio.gather(
        _walk_file(tenant, path, timed),
        _after(timed, _explain(tenant, odd["links"]["self"], model)),
        _after(timed, _walk_worklist(tenant, path)),
        _after(timed, _find_ids(tenant, path)),
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


async def _after(event: asyncio.Event, check: Awaitable[_T]) -> _T:
    await event.wait()
    return await check


async def _walk_file(tenant: Tenant, path: str, timed: asyncio.Event) -> tuple[int, list[float]]:
    """Return how many rows are missed, doubled or misplaced, and the seconds of the first pages.

    They are timed while nothing else is asked; then `timed` is set. The very first page is left out: the file
    is downloaded for it.
    """
    expected, wrong, seconds = 0, 0, []
    try:
        async for page, took in _pages(tenant, path, order="file"):
            for row in page["items"]:
                # The header is the first row of the file.
                wrong += (row["row_number"], row["customer_id"]) != (expected + 2, _id(expected))
                expected += 1
            if not timed.is_set():
                seconds.append(took)
            if len(seconds) > TIMED_PAGES:
                timed.set()
    finally:
        timed.set()  # if it breaks, the others must not wait for ever
    return wrong + abs(ROWS - expected), seconds[1:]


async def _walk_worklist(tenant: Tenant, path: str) -> int:
    """Return how many rows are missed or out of order: in the worklist by risk, and of the first by value."""
    by_risk = [
        (-row["churn_probability"], row["row_number"])
        async for page, _ in _pages(tenant, path, order="risk")
        for row in page["items"]
    ]
    wrong = sum(later <= earlier for earlier, later in itertools.pairwise(by_risk))
    by_value: list[tuple[float, int]] = []
    async for page, _ in _pages(tenant, path, order="value"):
        assert page["truncated"] is True
        by_value += [(-row["value_at_risk"], row["row_number"]) for row in page["items"]]
        if len(by_value) >= BY_VALUE:
            break
    wrong += sum(later[0] < earlier[0] for earlier, later in itertools.pairwise(by_value))
    listed = {number for _, number in by_risk}
    wrong += sum(number not in listed for _, number in by_value)
    wrong += len(by_value) - len({number for _, number in by_value})
    return wrong + abs(MAX_WORKLIST_ROWS - len(by_risk))


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
    """Return how far an explanation is from ONNX at most: in the probability, or in a contribution.

    Every `ASKED_EVERY`th customer is explained by the API; it must say what the others are explained by.
    """
    scores = await _download(tenant, f"{path}/result", "scores.parquet")
    at_risk = pl.col("churn_probability") * pl.col("customer_value")
    rows = scores.with_columns(at_risk.alias("value_at_risk")).to_dicts()
    assert len(rows) > EXPLAINED * 0.9, len(rows)
    names = [feature.name for feature in model.card.features]
    explained = [explained_resource(row, 3, model.card, values_of(row, names)) for row in rows]
    for shown in explained[::ASKED_EVERY]:
        answer = await tenant.get(f"{path}/rows/{shown['row_number']}")
        assert answer.content == shown, shown["row_number"]
    inputs = [
        [_input(feature, row["values"][feature.name]) for feature in model.card.features] for row in explained
    ]
    scored = model.predict(np.array(inputs, np.float32))
    log_odds = np.array(
        [row["intercept"] + sum(item["effect"] for item in row["contributions"]) for row in explained]
    )
    worst = float(np.abs(scored.probability - 1 / (1 + np.exp(-log_odds))).max())
    for at, term in enumerate(model.card.terms):
        effects = [
            next(item["effect"] for item in row["contributions"] if item["feature"] == term.feature)
            for row in explained
        ]
        worst = max(worst, float(np.abs(scored.contributions[:, at] - effects).max()))
    return worst


async def _download(tenant: Tenant, path: str, name: str) -> pl.DataFrame:
    """Download a file of a result by its link."""
    answer = await tenant.get(path)
    (link,) = (file["url"] for file in answer.content["files"] if file["name"] == name)
    async with aiohttp.ClientSession() as http, http.get(link) as response:
        return pl.read_parquet(await response.read())


def _input(feature: Any, value: float | str | None) -> float:
    """Return a value as the model reads it."""
    if value is None:
        return float("nan")
    if isinstance(feature, CategoricalFeature):
        return float(feature.categories.index(value)) if value in feature.categories else UNSEEN_CODE
    return float(value)
