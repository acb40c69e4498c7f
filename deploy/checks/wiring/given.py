"""The services' settings as their tasks give them."""

from typing import TypeVar, cast

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from consumer_worker.settings import Settings as WorkerSettings
from deploy.checks.deployment import Deployment, Task
from producer_api.settings import Settings as ProducerSettings

Model = TypeVar("Model", bound=BaseSettings)

EXAMPLE_SECRET = "postgresql://login:password@host:5432/retainwise"  # noqa: S105 of nobody


def producer_settings(deployment: Deployment) -> ProducerSettings:
    """Return the API's settings; an invalid one is another check's business."""
    return _read(ProducerSettings, deployment.tasks["producer"])


def worker_settings(deployment: Deployment) -> WorkerSettings:
    """Return the worker's settings; an invalid one is another check's business."""
    return _read(WorkerSettings, deployment.tasks["worker"])


def _read(model: type[Model], task: Task) -> Model:
    given = task.environment | dict.fromkeys(task.secrets, EXAMPLE_SECRET)
    known = {name: given[name.upper()] for name in model.model_fields if name.upper() in given}
    try:
        return model.model_validate(known)
    except ValidationError:
        defaults = {name: field.default for name, field in model.model_fields.items()}
        values = defaults | {name: _as_number(value) for name, value in known.items()}
        return cast("Model", model.model_construct(**values))


def _as_number(value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value
