"""Every route with no token, a bad one, another tenant's and the right one: only the last does anything."""

import json
from http import HTTPStatus
from typing import Any

from producer_api.app import ROUTES
from producer_api.http.route import Route
from tests.api.belongings import Belongings, count_rows, create_belongings, tenant_routes
from tests.api.stack import Answer, ApiStack, Tenant


async def run(stack: ApiStack) -> dict[str, int | float]:
    """Send every route with each token."""
    owner = await create_belongings(stack, "owner")
    other = stack.tenant("other")
    forged, expired = stack.tenant("forged"), stack.tenant("expired")
    forged.headers = {"Authorization": f"{owner.tenant.headers['Authorization'][:-4]}AAAA"}
    expired.headers = {"Authorization": f"Bearer {stack.issuer.mint(owner.tenant.tenant_id, expires_in=-60)}"}
    nobody = stack.tenant("nobody")
    nobody.headers = {}
    before = await count_rows(stack, owner.tenant.tenant_id)
    probes, leaks = 0, []
    for route in tenant_routes():
        for caller, code in (
            (nobody, "token_missing"),
            (forged, "token_invalid"),
            (expired, "token_expired"),
        ):
            answer = await _send(caller, route, owner)
            probes += 1
            if (answer.status, _code(answer)) != (HTTPStatus.UNAUTHORIZED, code) or _shows(answer, owner):
                leaks.append(f"{route.method} {route.path} without a right token: {answer}")
        answer = await _send(other, route, owner)
        probes += 1
        if _names_a_thing(route) and answer.status not in {404, 409, 415}:
            leaks.append(f"{route.method} {route.path} of another tenant: {answer}")
        if _shows(answer, owner):
            leaks.append(f"{route.method} {route.path} shows another tenant's: {answer}")
    after = await count_rows(stack, owner.tenant.tenant_id)
    if after != before:
        leaks.append(f"another tenant has changed {before} to {after}")
    # Deletions last, since the others need what they delete.
    for route in sorted(tenant_routes(), key=lambda route: route.method == "DELETE"):
        answer = await _send(owner.tenant, route, owner)
        documented = {*route.answers, 409, 422}
        assert answer.status in documented, f"{route.method} {route.path} with the right token: {answer}"
    for line in leaks:
        print(f"routes: {line}")
    return {"routes": len(ROUTES), "probes": probes, "leaks": len(leaks)}


async def _send(caller: Tenant, route: Route, owner: Belongings) -> Answer:
    options: dict[str, Any] = {"headers": {"Accept": "application/json"}}
    if (body := owner.body(route)) is not None:
        options["json"] = body
    return await caller.send(route.method, owner.path(route), **options)


def _names_a_thing(route: Route) -> bool:
    """Return whether the path names a thing of a tenant; PUT may create one of the same name for another."""
    return "_id}" in route.path or (route.path.endswith("{name}") and route.method != "PUT")


def _code(answer: Answer) -> str | None:
    return answer.content.get("code") if isinstance(answer.content, dict) else None


def _shows(answer: Answer, owner: Belongings) -> bool:
    """Return whether an answer has something of the owner's, besides the path that was asked for."""
    content = answer.content
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name != "instance"}
        if answer.status < 300 and "name" in content:  # a mapping of the same name, but one's own
            return False
    text = content.decode(errors="replace") if isinstance(content, bytes) else json.dumps(content)
    return any(identifier in text for identifier in owner.identifiers())
