"""A session as one signed blob, to move it to another deployment of the same bundle.

    "UNROLLED" │ version u16 │ length u64 │ bundle length u16 │ bundle │ payload │ HMAC-SHA256
    └───────── the same in every version ┘                                       └ the same ─┘

Integers are big-endian; `length` is the whole blob's, to tell a truncated blob from a forged one. The signature covers
everything before it, and is checked before anything after the fixed prefix is read. So no parser reads what was written
without the key, and a version or payload is only trusted if a holder of the key wrote it.

The payload is signed, not encrypted. This module does not know what it means.
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence

from service.errors import BlobFormatUnknown, BlobTampered, ExportDisabled, Malformed

MAGIC = b"UNROLLED"
VERSION = 1
_PREFIX = struct.Struct(">8sHQ")
_BUNDLE_LENGTH = struct.Struct(">H")
_SIGNATURE_BYTES = hashlib.sha256().digest_size


def seal(key: bytes, payload: bytes, bundle: str) -> bytes:
    """Sign a session's payload and the tag of the bundle that can read it.

    Raises:
        ExportDisabled: The key is empty.
    """
    _refuse_empty(key)
    name = bundle.encode()
    return _signed(key, VERSION, _BUNDLE_LENGTH.pack(len(name)) + name + payload)


def unseal(key: bytes, blob: bytes, former_keys: Sequence[bytes] = ()) -> bytes:
    """Check a blob and return the payload that was sealed with the same key, or with a former one.

    Raises:
        ExportDisabled: The key is empty.
        Malformed: The bytes are not a blob, or not a complete one.
        BlobTampered: The signature does not match: the blob was changed, or sealed with another key.
        BlobFormatUnknown: The signature matches, but this version cannot read the format.
    """
    _refuse_empty(key)
    version = _version(blob)
    content, signature = blob[:-_SIGNATURE_BYTES], blob[-_SIGNATURE_BYTES:]
    if not any(hmac.compare_digest(signature, hmac.digest(each, content, "sha256")) for each in (key, *former_keys)):
        raise BlobTampered("the signature does not match: the export was changed, or made under another export key")
    if version != VERSION:
        raise BlobFormatUnknown(f"the export has format version {version}; this service reads version {VERSION}")
    return _payload(content[_PREFIX.size :])


def _refuse_empty(key: bytes) -> None:
    if not key:
        raise ExportDisabled("sessions are neither exported nor imported here: UNROLLED_EXPORT_KEY is not set")


def _signed(key: bytes, version: int, body: bytes) -> bytes:
    length = _PREFIX.size + len(body) + _SIGNATURE_BYTES
    content = _PREFIX.pack(MAGIC, version, length) + body
    return content + hmac.digest(key, content, "sha256")


def _version(blob: bytes) -> int:
    """Return the format version that a complete blob declares."""
    if not blob.startswith(MAGIC):
        raise Malformed("the body is not an exported session")
    if len(blob) < _PREFIX.size + _SIGNATURE_BYTES:
        raise Malformed(f"the export is cut off after {len(blob)} bytes")
    _, version, length = _PREFIX.unpack_from(blob)
    if len(blob) != length:
        raise Malformed(f"the export has {len(blob)} bytes but declares {length}")
    return int(version)


def _payload(body: bytes) -> bytes:
    """Read a body of this version. It is authentic, so any damage is the sealer's fault; it must still not crash."""
    try:
        (length,) = _BUNDLE_LENGTH.unpack_from(body)
        end = _BUNDLE_LENGTH.size + length
        if len(body) < end:
            raise ValueError("the bundle's name is cut off")
        body[_BUNDLE_LENGTH.size : end].decode()  # only checked: the payload names the bundle, too
        return body[end:]
    except (struct.error, ValueError) as error:
        raise Malformed(f"the export cannot be read: {error}") from error
