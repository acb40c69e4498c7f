"""The command line of the training."""

import sys
from pathlib import Path

from cyclopts import App
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ml_models.card import ARTIFACTS, load_card
from ml_models.telco_churn import NAME, VERSION
from ml_models.training.errors import DataNotUsable, TrainingFailed
from ml_models.training.train import Validation, train, update_card

app = App(name="python -m ml_models.training", help="Train, validate and export the churn model.")


@app.default
def main(
    *,
    data: Path | None = None,
    output: Path = ARTIFACTS,
    seed: int = 20261123,
    card_only: bool = False,
) -> int:
    """Train, validate and export the churn model.

    Args:
        data: CSV file in the form of the public Telco Customer Churn sample.
        output: Directory of models to write the artifact into.
        seed: Of folds and models: the same seed, data and libraries give the same bytes.
        card_only: Train nothing: write the headers, spellings and wording of telco_churn.py into the card.
    """
    try:
        if card_only:
            Console().print(f"card written to {update_card(output)}", soft_wrap=True)
        else:
            _train(data, output, seed)
    except TrainingFailed as error:
        Console(stderr=True).print(f"training failed: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    return 0


def _train(data: Path | None, output: Path, seed: int) -> None:
    if data is None:
        raise DataNotUsable("give the training data: --data FILE")
    console = Console()
    validation = Validation()
    columns = (
        TextColumn("cross-validating"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=validation.steps)
        directory = train(
            data, output, seed=seed, validation=validation, on_progress=lambda: progress.advance(task)
        )
    metrics = load_card(f"{NAME}@{VERSION}", output).evaluation.metrics
    console.print(
        f"{NAME}@{VERSION}: ROC-AUC {metrics.roc_auc.mean:.4f}, log-loss {metrics.log_loss.mean:.4f}, "
        f"Brier {metrics.brier.mean:.4f}, written to {directory}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(app())
