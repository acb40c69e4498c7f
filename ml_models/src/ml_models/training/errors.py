"""Why a training stops. In every case the installed artifacts are unchanged."""


class TrainingFailed(Exception):
    """No model was written."""


class DataNotUsable(TrainingFailed):
    """The training data does not match the features' specification."""


class VersionTaken(TrainingFailed):
    """Another model with this name and version exists; a released model never changes."""


class TrainingNeeded(TrainingFailed):
    """What the model reads has changed, so a new card alone would not fit it. Train again."""


class ProtectedAttributesMatter(TrainingFailed):
    """Not reading the protected attributes costs more than `findings.PROTECTED_LIMIT`."""


class ExportDisagrees(TrainingFailed):
    """The exported graph and the trained model differ by more than the tolerance."""

    def __init__(self, what: str, *, row: int, expected: float, exported: float) -> None:
        super().__init__(
            f"the exported graph and the trained model disagree on {what} of checked row {row}: "
            f"trained {expected!r}, exported {exported!r}"
        )
