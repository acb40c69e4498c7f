"""What `/livez` and `/readyz` answer."""

from retainwise_contracts.model import Contract, OpenEnum


class HealthState(OpenEnum):
    """The state of a service or of one thing it needs."""

    OK = "ok"
    DEGRADED = "degraded"
    """It serves, with a part of its work held back: publishing is paused, for one."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Newer than this reader. Never written."""


class Check(Contract):
    """One thing a service needs, and what is the matter with it where it is not ok."""

    name: str
    state: HealthState
    detail: str


class Health(Contract):
    """The answer of `/livez` and `/readyz`: HTTP 503 where the state is failed, else 200."""

    state: HealthState
    service: str
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, service: str, checks: tuple[Check, ...]) -> "Health":
        """Sum up the checks: the worst of them is the state of the service."""
        states = {check.state for check in checks}
        for state in (HealthState.FAILED, HealthState.DEGRADED):
            if state in states:
                return cls(state=state, service=service, checks=checks)
        return cls(state=HealthState.OK, service=service, checks=checks)
