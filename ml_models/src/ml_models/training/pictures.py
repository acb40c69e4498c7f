"""The pictures of the model card. The same model gives the same bytes."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml_models.card import NumericSpecification
from ml_models.training.evaluation import ReliabilityBin
from ml_models.training.models import Shape

COLUMNS = 4
_INK, _RAISES, _LOWERS, _GREY = "#22313f", "#c0392b", "#2471a3", "#9aa5b1"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # part of matplotlib, so the pictures are the same on every machine
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def draw_reliability(bins: Sequence[ReliabilityBin]) -> bytes:
    """Draw the observed churn rate over the predicted one, with 95 % intervals (Wilson 1927), as PNG."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.4, 4.2), layout="constrained")
        axes = figure.subplots()
        predicted = np.array([each.predicted for each in bins])
        observed = np.array([each.observed for each in bins])
        low, high = _wilson(observed, np.array([each.rows for each in bins]))
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--", label="perfectly calibrated")
        axes.errorbar(
            predicted,
            observed,
            yerr=np.maximum([observed - low, high - observed], 0),
            fmt="o-",
            color=_LOWERS,
            markersize=4,
            linewidth=1.2,
            capsize=2,
            label="out of fold, tenths of the customers",
        )
        end = 1.05 * max(predicted.max(), high.max())
        axes.set(
            xlim=(0, end),
            ylim=(0, end),
            xlabel="predicted probability",
            ylabel="share that left",
            aspect="equal",
        )
        axes.legend(frameon=False, loc="upper left")
        return _png(figure)


def _wilson(
    share: NDArray[np.float64], count: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 95 % score interval of binomial shares."""
    z = 1.959964
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return centre - half, centre + half


def draw_shapes(shapes: Sequence[Shape], ranges: Sequence[tuple[float, float]]) -> bytes:
    """Draw every term's contribution over its feature, all to one scale, as PNG.

    Args:
        shapes: the model's terms.
        ranges: per term the least and the greatest value of a numeric feature in the training data.
    """
    lines = -(-len(shapes) // COLUMNS)
    every = [score for shape in shapes for score in shape.scores]
    margin = 0.08 * (max(every) - min(every))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 2.3 * lines), layout="constrained")
        panels = figure.subplots(lines, COLUMNS, squeeze=False).flatten()
        for axes, shape, span in zip(panels, shapes, ranges, strict=False):
            axes.axhline(0, color=_GREY, linewidth=0.8)
            if isinstance(shape.feature, NumericSpecification):
                _draw_steps(axes, shape, span)
                axes.set_xlabel(shape.feature.unit or "")
            else:
                _draw_bars(axes, shape.scores, shape.feature.categories)
            axes.set_ylim(min(every) - margin, max(every) + margin)
            axes.set_title(shape.feature.name, fontsize=9, fontweight="bold", loc="left")
        for axes in panels[len(shapes) :]:
            axes.set_visible(False)
        figure.supylabel("contribution to the log-odds of leaving", fontsize=9)
        return _png(figure)


def _draw_steps(axes: Axes, shape: Shape, span: tuple[float, float]) -> None:
    axes.stairs(shape.scores, [span[0], *shape.cuts, span[1]], baseline=None, color=_INK, linewidth=1.3)


def _draw_bars(axes: Axes, scores: Sequence[float], categories: Sequence[str]) -> None:
    colors = [_RAISES if score > 0 else _LOWERS for score in scores]
    bars = axes.bar(range(len(categories)), scores, color=colors, width=0.6)
    axes.bar_label(bars, fmt="%+.2f", padding=2, fontsize=7)
    axes.set_xticks(range(len(categories)), [name.replace(" ", "\n") for name in categories], fontsize=7)


def _png(figure: Figure) -> bytes:
    content = BytesIO()
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    return content.getvalue()
