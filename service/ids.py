"""Ids of sessions: issued by the service, unguessable, and near one another when they were issued near one another.

    base64url( time u40, 1/256 s since 1970 · 128 random bits )        28 characters

Sessions that are opened together are mostly used together; neighbouring keys let an embedded store touch few pages.
"""

import base64
import hmac
import secrets
from hashlib import sha256

ID_BYTES = 21
_TIME_BYTES = 5
_TICKS_PER_SECOND = 256


def new_session_id(now: float) -> str:
    """A fresh id.

    Args:
        now: Wall-clock seconds since 1970.
    """
    ticks = int(now * _TICKS_PER_SECOND) % 2 ** (8 * _TIME_BYTES)
    return _text(ticks.to_bytes(_TIME_BYTES) + secrets.token_bytes(ID_BYTES - _TIME_BYTES))


def keyed_session_id(secret: bytes, owner: str, key: str) -> str:
    """The id that an owner's idempotency key stands for: always the same, and unguessable without the secret."""
    return _text(hmac.digest(secret, f"{len(owner)}:{owner}{key}".encode(), sha256)[:ID_BYTES])


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()
