"""Idempotency keys: whether a key came with the same request before.

A digest covers only the fields that a client has set, so it stays the same in a later version with more fields.
"""

import hashlib
from typing import NamedTuple

import orjson
from pydantic import BaseModel

from service.forms.sessions import ForkRequest, SessionRequest


class Keyed(NamedTuple):
    """A key and the digest of the request that it came with.

    Attributes:
        key: As the client sent it.
        digest: Hexadecimal digest of the request.
    """

    key: str
    digest: str


def request_digest(kind: str, request: BaseModel, *context: str) -> str:
    """Return the digest of a request.

    Args:
        kind: Kind of request; two kinds never share a digest.
        request: The fields; those with their default value are left out.
        context: Further parts of the request, such as the session's id.
    """
    asked = [kind, *context, request.model_dump(exclude_defaults=True)]
    return _hexadecimal(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))


def keyed_creation(key: str, request: SessionRequest) -> Keyed | None:
    """Return the key of a request for a new session, or None without a key."""
    return Keyed(key, request_digest("session", request)) if key else None


def keyed_fork(key: str, session_id: str, request: ForkRequest) -> Keyed | None:
    """Return the key of a request to fork a session, or None without a key."""
    return Keyed(key, request_digest("fork", request, session_id)) if key else None


def keyed_import(key: str, blob: bytes) -> Keyed | None:
    """Return the key of a request to import a session, or None without a key."""
    return Keyed(key, _hexadecimal(blob)) if key else None


def _hexadecimal(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
