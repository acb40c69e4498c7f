"""Pages of a list: a cursor says where the next one begins.

A cursor is encrypted and bound to its tenant and its list. Clients cannot read or forge one, and a position
in the list, which may be a customer's figure, does not appear in URLs.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from producer_api.http.answers import json_answer
from producer_api.http.errors import InvalidParameter

MAX_CURSOR_CHARACTERS = 1_024

_KEY_BYTES = 64


class Pager:
    """Writes and reads cursors.

    The key is derived from a secret that all replicas share. When the secret changes, cursors end: clients
    begin their list again.
    """

    def __init__(self, secret: str) -> None:
        derivation = HKDF(SHA256(), length=_KEY_BYTES, salt=None, info=b"retainwise cursors v1")
        self._cipher = AESSIV(derivation.derive(secret.encode()))

    def encode(self, tenant_id: str, scope: str, position: Sequence[Any]) -> str:
        """Return the cursor of a position, as JSON can hold it. `scope` is the list, with its filters."""
        sealed = self._cipher.encrypt(orjson.dumps(position), [tenant_id.encode(), scope.encode()])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def decode(self, tenant_id: str, scope: str, cursor: str) -> list[Any]:
        """Return the position of a cursor.

        Raises:
            InvalidParameter: it is not a cursor of this tenant and this list.
        """
        if len(cursor) <= MAX_CURSOR_CHARACTERS:
            try:
                padded = cursor + "=" * (-len(cursor) % 4)
                sealed = base64.b64decode(padded, altchars=b"-_", validate=True)
                position = orjson.loads(self._cipher.decrypt(sealed, [tenant_id.encode(), scope.encode()]))
            except (binascii.Error, ValueError, InvalidTag):
                pass
            else:
                return list(position)
        raise InvalidParameter("cursor", "it is not a cursor of this list with these filters.")


PAGER = web.AppKey("pager", Pager)


def page(
    request: web.Request, items: Sequence[Any], next_cursor: str | None, **members: object
) -> web.Response:
    """Return one page of a list, with a link to the next one if there is one."""
    headers = {}
    if next_cursor is not None:
        headers["Link"] = f'<{request.rel_url.update_query(cursor=next_cursor)}>; rel="next"'
    return json_answer({"items": items, "next_cursor": next_cursor, **members}, headers=headers)
