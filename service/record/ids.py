"""Session ids: issued by the service, unguessable, and close together if issued close together in time.

    base64url( time u40, 1/256 s since 1970 · 128 random bits )        28 characters

Sessions opened together are mostly used together, and an embedded store touches fewer pages for adjacent keys.
"""

import base64
import hmac
import secrets
from binascii import a2b_base64
from hashlib import sha256

ID_BYTES = 21
ID_CHARACTERS = ID_BYTES * 4 // 3
TIME_BYTES = 5
_TICKS_PER_SECOND = 256
_FROM_URLSAFE = bytes.maketrans(b"-_+/=", b"+/!!!")


def new_session_id(now: float) -> str:
    """Return a fresh id.

    Args:
        now: Wall-clock seconds since 1970.
    """
    ticks = int(now * _TICKS_PER_SECOND) % 2 ** (8 * TIME_BYTES)
    return id_from(ticks.to_bytes(TIME_BYTES) + secrets.token_bytes(ID_BYTES - TIME_BYTES))


def keyed_session_id(secret: bytes, owner: str, key: str) -> str:
    """Return the id that an owner's idempotency key stands for: always the same, unguessable without the secret."""
    return id_from(hmac.digest(secret, f"{len(owner)}:{owner}{key}".encode(), sha256)[:ID_BYTES])


def id_from(content: bytes) -> str:
    """Return the id with these bytes."""
    return base64.urlsafe_b64encode(content).decode()


def bytes_of(session_id: str) -> bytes | None:
    """Return the bytes of an id as issued, or None for any other text, including other spellings of an id."""
    if len(session_id) != ID_CHARACTERS:
        return None
    try:
        return a2b_base64(session_id.encode().translate(_FROM_URLSAFE), strict_mode=True)
    except ValueError:
        return None
