"""Why a training stops. Whatever stops it, the artifacts are as they were."""


class TrainingFailed(Exception):
    """No model was written."""


class DataNotUsable(TrainingFailed):
    """The training data is not what the features' specification says."""


class VersionTaken(TrainingFailed):
    """Another model of this name and version is there; a released one never changes."""


class ProtectedAttributesMatter(TrainingFailed):
    """A model that does not read the protected attributes would be worse than was decided to accept."""


class ExportDisagrees(TrainingFailed):
    """The exported graph and the trained model differ by more than the tolerance."""

    def __init__(self, what: str, *, row: int, expected: float, exported: float) -> None:
        self.expected = expected
        self.exported = exported
        super().__init__(
            f"the exported graph and the trained model disagree on {what} of checked row {row}: "
            f"trained {expected!r}, exported {exported!r}"
        )
