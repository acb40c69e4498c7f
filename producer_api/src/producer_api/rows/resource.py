"""Scored customers as the API shows them, and the whole explanation of one."""

from collections.abc import Mapping
from typing import Any

import structlog

from ml_models.card import Card
from ml_models.sentences import is_unknown, sentence
from ml_models.terms import Value, explain
from producer_api.rows.results import Row

TOLERANCE = 1e-6
"""How far a score explained by the card may be from that of the model."""

MAX_SENTENCES = 5
"""Reasons said in words; the contributions have all."""

_WELL_KNOWN = 0.9
"""The share of known inputs from which nothing is said about it."""


log: structlog.stdlib.BoundLogger = structlog.get_logger()


def row_resource(row: Row, reasons: int, card: Card | None) -> dict[str, Any]:
    """Return a row of a result file as JSON shows it; what an older file does not have is null.

    Args:
        row: by column.
        reasons: how many it may have.
        card: of the model that scored, if it is installed.
    """
    return {
        "row_number": row["row_number"],
        "customer_id": row["customer_id"],
        "churn_probability": row["churn_probability"],
        "risk_level": row["risk_level"],
        "inputs_known": row.get("inputs_known"),
        "already_left": row.get("already_left"),
        "customer_value": row.get("customer_value"),
        "value_at_risk": row.get("value_at_risk"),
        "reasons": [
            {
                "feature": feature,
                "label": _label(card, feature),
                "effect": row[f"reason_{rank}_effect"],
                "value": row[f"reason_{rank}_value"],
                "text": row[f"reason_{rank}_text"],
                "action": _action(card, feature, row[f"reason_{rank}_effect"]),
            }
            for rank in range(1, reasons + 1)
            if (feature := row[f"reason_{rank}"]) is not None
        ],
    }


def explained_resource(
    row: Row, reasons: int, card: Card | None, values: Mapping[str, Value] | None
) -> dict[str, Any]:
    """Return a row as `row_resource` does, with its values and all contributions, the greatest first.

    Without the card or the values these are null, and if they explain another score than the row's.
    """
    shown = row_resource(row, reasons, card)
    explanation = None if card is None or values is None else explain(card, values)
    if explanation is not None and abs(explanation.probability - row["churn_probability"]) > TOLERANCE:
        log.error("explanation_differs", model=card and card.ref)  # a bug, but not of who asks
        explanation = None
    if card is None or values is None or explanation is None:
        texts = [reason["text"] for reason in shown["reasons"]]
        return shown | {
            "values": values,
            "intercept": None,
            "contributions": None,
            "sentences": _sentences(row, texts),
        }
    contributions = [
        _contribution(card, name, values[name], effect)
        for name, effect in sorted(explanation.contributions, key=lambda item: -abs(item.effect))
    ]
    telling = [
        contribution["text"]
        for contribution in contributions
        if contribution["effect"] or is_unknown(card.feature(contribution["feature"]), contribution["value"])
    ]
    return shown | {
        "values": values,
        "intercept": explanation.intercept,
        "contributions": contributions,
        "sentences": _sentences(row, telling[:MAX_SENTENCES]),
    }


def _contribution(card: Card, name: str, value: Value, effect: float) -> dict[str, Any]:
    feature = card.feature(name)
    return {
        "feature": name,
        "label": feature.label,
        "value": value,
        "effect": effect,
        "text": sentence(feature, value, effect),
        "action": _action(card, name, effect),
    }


def _sentences(row: Row, reasons: list[str]) -> list[str]:
    sentences = [f"The probability of leaving is {row['churn_probability']:.0%}: {row['risk_level']} risk."]
    sentences += [f"{text}." for text in reasons]
    known = row.get("inputs_known")
    if known is not None and known < _WELL_KNOWN:
        sentences.append(f"Only {known:.0%} of what the model weighs is known of this customer.")
    if row.get("already_left"):
        sentences.append("The file says that this customer has left already.")
    return sentences


def _label(card: Card | None, feature: str) -> str:
    return feature if card is None else card.feature(feature).label


def _action(card: Card | None, feature: str, effect: float) -> str | None:
    return card.actions.get(feature) if card is not None and effect > 0 else None
