"""Tenants with something to look at: scored, failed and rejected, all by the public API."""

from dataclasses import dataclass

from deploy.local.sample import SAMPLE
from tests.api.stack import Tenant
from tests.browser.site import Site

BROKEN_ROWS = (
    b"customerID,tenure,Contract,MonthlyCharges,InternetService,PaymentMethod\n"
    b"b-1,2,Month-to-month,70.35,Fiber optic,Electronic check\n"
    b"b-2,a while,Month-to-month,80.10,Fiber optic,Electronic check\n"
    b"b-3,,One year,20.10,No,Mailed check\n"
    b"b-4,9,Month-to-month,89.90,Fiber optic,Electronic check\n"
    b"b-5,31,Two year,-4,DSL,Mailed check\n"
)
"""Rows 3, 4 and 6 of it cannot be scored."""

UNUSABLE = (
    b"customerID,tenure,Contract,MonthlyCharges,InternetService\n"
    b"c-1,soon,Month-to-month,cheap,Fiber optic\n"
    b"c-2,later,Two year,dear,No\n"
)
"""No row of it can be scored."""


@dataclass(frozen=True)
class Seeded:
    """A tenant and the ids of its predictions."""

    tenant: Tenant
    sample: str
    earlier: str
    rejected: str
    failed: str


async def seed(site: Site, name: str) -> Seeded:
    """Give a new tenant one prediction of each kind, all of them ended."""
    tenant = site.stack.tenant(name)
    sample = SAMPLE.read_bytes()
    lines = sample.splitlines(keepends=True)
    begun = [
        await predict(tenant, b"".join(lines[:501]), "october.csv", label="October, consumer contracts"),
        await predict(tenant, sample, "november.csv", label="November, consumer contracts", currency="EUR"),
        await predict(tenant, BROKEN_ROWS, "crm-export.csv"),
        await predict(tenant, UNUSABLE, "notes.csv"),
    ]
    for prediction_id, status in zip(begun, ("COMPLETED", "COMPLETED", "COMPLETED", "FAILED"), strict=True):
        ended = await tenant.finished(prediction_id)
        assert ended["status"] == status, ended
    earlier, sample_id, rejected, failed = begun
    return Seeded(tenant, sample_id, earlier, rejected, failed)


async def upload(tenant: Tenant, content: bytes, name: str) -> str:
    """Send a file with its name; return the upload's id."""
    headers = {"Content-Type": "text/csv"}
    answer = await tenant.post("/v1/uploads", params={"name": name}, data=content, headers=headers)
    assert answer.status == 201, answer
    return str(answer.content["upload_id"])


async def predict(tenant: Tenant, content: bytes, name: str, **options: str) -> str:
    """Send a file and have it scored; return the prediction's id."""
    body = {"upload_id": await upload(tenant, content, name), **options}
    answer = await tenant.post("/v1/predictions", json=body)
    assert answer.status == 202, answer
    return str(answer.content["prediction_id"])
