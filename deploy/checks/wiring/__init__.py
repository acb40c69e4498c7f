"""The wiring as a graph: each task's settings, permissions and resources, compared with what it needs."""

from deploy.checks.wiring import alarms, capacity, releases, roles, settings, storage
from deploy.checks.wiring.registry import CHECKS

__all__ = ["CHECKS", "alarms", "capacity", "releases", "roles", "settings", "storage"]
