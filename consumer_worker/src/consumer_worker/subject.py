"""Reads of which prediction a message of a newer release is: what this release cannot read is not lost."""

import json
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter

from retainwise_contracts.model import TenantId

_TENANT_ID: TypeAdapter[str] = TypeAdapter(TenantId)


@dataclass(frozen=True)
class Subject:
    """What an envelope says of its message in every version."""

    message_id: UUID
    prediction_id: UUID
    tenant_id: str


def read_subject(body: str) -> Subject | None:
    """Return the subject of a message, None if the envelope does not name one."""
    try:
        envelope = json.loads(body)
        return Subject(
            message_id=UUID(envelope["id"]),
            prediction_id=UUID(envelope["subject"]),
            tenant_id=_TENANT_ID.validate_python(envelope["tenantid"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
