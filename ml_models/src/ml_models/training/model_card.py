"""The model card (Mitchell et al. 2019) as Markdown: the template with the figures of one training."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

import numpy as np

from ml_models.card import Card, Estimate, Metrics, NumericFeature
from ml_models.training.evaluation import (
    CALIBRATION_BINS,
    SHIPPED,
    WITH_FAMILY_STATUS,
    WITH_GENDER_AND_AGE,
    WITH_INTERACTIONS,
    WITH_TOTAL_CHARGES,
    ReliabilityBin,
)
from ml_models.training.export import TOLERANCE
from ml_models.training.findings import PROTECTED_LIMIT, REQUIRED_LIMIT, Findings, Group
from ml_models.training.models import MAX_BINS, Shape

TEMPLATE = Path(__file__).with_name("model_card.template.md")


def write_model_card(
    card: Card,
    shapes: Sequence[Shape],
    findings: Findings,
    bins: Sequence[ReliabilityBin],
    *,
    reliability_picture: str,
    shapes_picture: str,
) -> str:
    """Write the model card of a trained model; the pictures are named by their files."""
    metrics = card.evaluation.metrics
    figures = {
        "ref": card.ref,
        "description": card.description,
        "roc_auc": f"{metrics.roc_auc.mean:.3f}",
        "log_loss": f"{metrics.log_loss.mean:.3f}",
        "brier": f"{metrics.brier.mean:.3f}",
        "calibration_error": f"{metrics.calibration_error.mean:.3f}",
        "terms": len(card.terms),
        "features": len(card.features),
        "rows": f"{card.training_data.rows:,}",
        "churn_rate": f"{card.training_data.churn_rate:.1%}",
        "label": card.training_data.label,
        "data_sha256": card.training_data.sha256,
        "max_bins": MAX_BINS,
        "folds": card.evaluation.folds,
        "repeats": card.evaluation.repeats,
        "splits": card.evaluation.folds * card.evaluation.repeats,
        "metrics_table": _metrics_table(card, findings),
        "interactions_gain": _signed(findings.gains[WITH_INTERACTIONS.name]),
        "total_charges_gain": _signed(findings.gains[WITH_TOTAL_CHARGES.name]),
        "total_charges_loss": f"{-findings.total_charges_absence.roc_auc.mean:.4f}",
        "reliability_picture": reliability_picture,
        "reliability_table": _reliability_table(bins),
        "calibration_bins": CALIBRATION_BINS,
        "shapes_picture": shapes_picture,
        "intercept": f"{card.intercept:.4f}",
        "terms_table": _terms_table(card, shapes),
        "features_table": _features_table(card, findings),
        "required_limit": REQUIRED_LIMIT,
        "excluded": "\n".join(f"- {column.name}: {column.reason}." for column in card.excluded_columns),
        "gender_and_age_gain": _signed(findings.gains[WITH_GENDER_AND_AGE.name]),
        "family_status_gain": _signed(findings.gains[WITH_FAMILY_STATUS.name]),
        "protected_limit": PROTECTED_LIMIT,
        "groups_table": _groups_table(findings.groups),
        "seed": card.seed,
        "versions": ", ".join(f"{library} {number}" for library, number in card.versions.items()),
        "greatest_difference": f"{findings.greatest_difference:.1e}",
        "tolerance": f"{TOLERANCE:g}",
        "size_bytes": f"{card.model_file.size_bytes:,}",
        "model_sha256": card.model_file.sha256,
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(figures)


def _metrics_table(card: Card, findings: Findings) -> str:
    metrics = {SHIPPED.name: card.evaluation.metrics, **card.evaluation.baselines}
    return _table(
        ["model", "ROC-AUC", "PR-AUC", "log-loss", "Brier", "calibration error", "ROC-AUC less shipped"],
        (
            [name, *_spreads(measured), _signed(findings.gains[name]) if name in findings.gains else ""]
            for name, measured in metrics.items()
        ),
    )


def _reliability_table(bins: Sequence[ReliabilityBin]) -> str:
    return _table(
        ["customers", "mean prediction", "share that left"],
        ([str(each.rows), f"{each.predicted:.3f}", f"{each.observed:.3f}"] for each in bins),
    )


def _terms_table(card: Card, shapes: Sequence[Shape]) -> str:
    rows = []
    for term, shape in zip(card.terms, shapes, strict=True):
        steps = np.diff(shape.scores) if shape.cuts else np.zeros(0)
        falls, rises = -steps[steps < 0].sum(), steps[steps > 0].sum()
        trend = f"falls {falls:.2f}, rises {rises:.2f}" if shape.cuts else ""
        rows.append([term.feature, f"{term.importance:.3f}", trend])
    rows.sort(key=lambda row: row[1], reverse=True)
    return _table(["term", "mean absolute contribution", "shape of a number"], rows)


def _features_table(card: Card, findings: Findings) -> str:
    rows = []
    for feature in card.features:
        absence = findings.absences[feature.name]
        values = (
            f"{feature.statistics.min:g} to {feature.statistics.max:g} ({feature.unit or 'no unit'})"
            if isinstance(feature, NumericFeature)
            else ", ".join(feature.categories)
        )
        required = "**required**" if feature.required else ""
        change = f"{absence.mean_probability:+.3f}"
        rows.append([feature.name, required, values, _signed(absence.roc_auc), change])
    return _table(
        ["feature", "", "in the training data", "ROC-AUC without it", "mean probability without it"], rows
    )


def _groups_table(groups: Iterable[Group]) -> str:
    return _table(
        ["attribute", "customers", "share that left", "mean prediction", "ROC-AUC"],
        (
            [
                f"{group.attribute} {group.category}",
                str(group.rows),
                f"{group.observed:.3f}",
                f"{group.predicted:.3f}",
                f"{group.roc_auc:.3f}",
            ]
            for group in groups
        ),
    )


def _spreads(metrics: Metrics) -> list[str]:
    measured = (metrics.roc_auc, metrics.pr_auc, metrics.log_loss, metrics.brier, metrics.calibration_error)
    return [f"{each.mean:.4f} ± {each.std:.4f}" for each in measured]


def _signed(value: Estimate) -> str:
    return f"{value.mean:+.4f} ± {value.std:.4f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
