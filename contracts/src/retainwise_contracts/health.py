"""What `/livez` and `/readyz` answer."""

from retainwise_contracts.model import Contract, OpenEnum


class HealthState(OpenEnum):
    """The state of a service or of one of its dependencies."""

    OK = "ok"
    DEGRADED = "degraded"
    """It serves requests, but part of its work is delayed: sending is paused, for example."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Newer than this reader. Never written."""


class Check(Contract):
    """The state of one dependency, and the problem if it is not ok."""

    name: str
    state: HealthState
    detail: str


class Health(Contract):
    """The answer of `/livez` and `/readyz`: HTTP 503 if the state is failed, otherwise 200."""

    state: HealthState
    service: str
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, service: str, checks: tuple[Check, ...]) -> "Health":
        """Combine the checks: the worst state is the state of the service."""
        states = {check.state for check in checks}
        for state in (HealthState.FAILED, HealthState.DEGRADED):
            if state in states:
                return cls(state=state, service=service, checks=checks)
        return cls(state=HealthState.OK, service=service, checks=checks)
