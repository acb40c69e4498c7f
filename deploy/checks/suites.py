"""The suites, in the order that `make check-deploy` runs them."""

from collections.abc import Callable, Mapping

from deploy.checks.images import check_images
from deploy.checks.kubernetes import check_kubernetes
from deploy.checks.linters import lint
from deploy.checks.permissions import prove_permissions
from deploy.checks.planting import plant_faults
from deploy.checks.report import Report
from deploy.checks.resolving import check_wiring

SUITES: Mapping[str, Callable[[Report], None]] = {
    "wiring": check_wiring,
    "faults": plant_faults,
    "permissions": prove_permissions,
    "images": check_images,
    "kubernetes": check_kubernetes,
    "linters": lint,
}
