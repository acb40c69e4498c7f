"""The wiring as a graph: what each task is told, may do and needs, against what there is."""

from deploy.checks.wiring import alarms, capacity, releases, roles, settings, storage
from deploy.checks.wiring.registry import CHECKS

__all__ = ["CHECKS", "alarms", "capacity", "releases", "roles", "settings", "storage"]
