"""What one tenant has, so that every path of the API can be filled in, and what nobody else may see of it."""

import re
from dataclasses import dataclass
from typing import Any

from producer_api.app import ROUTES
from producer_api.http.route import Route
from tests.api.stack import ApiStack, Tenant

SECRET = "planted-secret"
"""In the tenant's label, file and names: nobody else may ever be answered it."""

FILE = (
    "customerID,tenure,Contract,MonthlyCharges,InternetService,PaymentMethod\n"
    f"{SECRET}-1,2,Month-to-month,70.35,Fiber optic,Electronic check\n"
    f"{SECRET}-2,60,Two year,20.10,No,Mailed check\n"
).encode()

MAPPING = f"{SECRET}-mapping"
HEADERS = ["customerID", "tenure", "Contract", "MonthlyCharges", "InternetService", "PaymentMethod"]


@dataclass(frozen=True)
class Belongings:
    """A finished prediction, a file without one, and a mapping."""

    tenant: Tenant
    prediction_id: str
    upload_id: str
    free_upload_id: str

    def path(self, route: Route) -> str:
        """Return the path of a route with what the tenant has."""
        upload_id = self.upload_id if route.path.endswith("/inspection") else self.free_upload_id
        values = {
            "prediction_id": self.prediction_id,
            "upload_id": upload_id,
            "name": MAPPING,
            "ref": "telco-churn@1.0.0",
            "row": "1",
        }
        return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], route.path)

    def body(self, route: Route) -> dict[str, Any] | None:
        """Return a body that the route accepts."""
        bodies: dict[tuple[str, str], dict[str, Any]] = {
            ("POST", "/v1/predictions"): {"upload_id": self.upload_id},
            ("POST", "/v1/uploads"): {"name": "a.csv", "size": 1_000},
            ("PUT", "/v1/mappings/{name}"): {
                "headers": HEADERS,
                "mapping": {"tenure": "tenure"},
            },
            ("PATCH", "/v1/predictions/{prediction_id}"): {"label": "another label"},
        }
        return bodies.get((route.method, route.path))

    def identifiers(self) -> tuple[str, ...]:
        """Return what names the tenant's things."""
        return (SECRET, self.prediction_id, self.upload_id, self.free_upload_id, self.tenant.tenant_id)


def tenant_routes() -> list[Route]:
    """Return the routes that need a token."""
    return [route for route in ROUTES if not route.public]


async def create_belongings(stack: ApiStack, name: str) -> Belongings:
    """Create them for a tenant of its own."""
    tenant = stack.tenant(name)
    prediction = await tenant.predict(FILE, label=SECRET)
    await tenant.finished(prediction["prediction_id"])
    upload = await tenant.post("/v1/uploads", data=FILE, headers={"Content-Type": "text/csv"})
    assert upload.status == 201, upload
    belongings = Belongings(
        tenant,
        prediction["prediction_id"],
        prediction["upload"]["upload_id"],
        upload.content["upload_id"],
    )
    saving = next(route for route in tenant_routes() if route.method == "PUT")
    mapping = await tenant.put(belongings.path(saving), json=belongings.body(saving))
    assert mapping.status in {200, 201}, mapping
    return belongings


async def count_rows(stack: ApiStack, tenant_id: str) -> dict[str, int]:
    """Return how many rows and objects a tenant has."""
    counts = {}
    for table in (
        *("uploads", "predictions", "prediction_events", "outbox"),
        *("receipts", "idempotency_keys", "mappings"),
    ):
        query = f"select count(*) from {table} where tenant_id = $1"
        counts[table] = int(await stack.owner.fetchval(query, tenant_id))
    for prefix in ("uploads", "results"):
        listed = await stack.s3.list_objects_v2(Bucket=stack.bucket, Prefix=f"{prefix}/{tenant_id}/")
        counts[f"{prefix} objects"] = listed["KeyCount"]
    return counts
