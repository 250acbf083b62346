"""Exported sessions: what was sealed comes back, and nothing else passes."""

import hmac
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BlobFormatUnknown, BlobTampered, ExportDisabled, Malformed
from service.record.blob import MAGIC, VERSION, seal, unseal

KEY = b"k" * 32
REFUSALS = (Malformed, BlobTampered)

payloads = st.binary(max_size=200)
bundles = st.text(max_size=40)


def signed(content: bytes) -> bytes:
    return content + hmac.digest(KEY, content, "sha256")


def of_version(version: int, body: bytes) -> bytes:
    return signed(struct.pack(">8sHQ", MAGIC, version, 18 + len(body) + 32) + body)


@given(payload=payloads, bundle=bundles)
def test_what_was_sealed_comes_back(payload: bytes, bundle: str) -> None:
    assert unseal(KEY, seal(KEY, payload, bundle)) == payload


def test_what_an_earlier_release_sealed_is_read_and_sealed_alike() -> None:
    blob = bytes.fromhex(
        "554e524f4c4c45440001000000000000003e000573756d3a30737461746509a3f2e19d0da74d0f24c9c01313a38baa67"
        "63060d601a3467c7c57e3eb9926d"
    )
    assert unseal(KEY, blob) == b"state"
    assert seal(KEY, b"state", "sum:0") == blob


def test_a_whole_blob_of_something_else_is_malformed() -> None:
    blob = b"ELSEWISE" + seal(KEY, b"state", "sum:0")[len(MAGIC) :]
    with pytest.raises(Malformed):
        unseal(KEY, blob)


def test_what_is_shorter_than_any_blob_is_malformed_though_it_declares_its_length() -> None:
    prefix = struct.Struct(">8sHQ")
    for num_bytes in range(prefix.size, prefix.size + 32):
        blob = prefix.pack(MAGIC, VERSION, num_bytes) + bytes(num_bytes - prefix.size)
        with pytest.raises(Malformed, match=f"cut off after {num_bytes} bytes"):
            unseal(KEY, blob)


@given(payload=payloads, data=st.data())
def test_any_flipped_bit_is_refused(payload: bytes, data: st.DataObject) -> None:
    blob = bytearray(seal(KEY, payload, "sentiment:1f"))
    bit = data.draw(st.integers(0, len(blob) * 8 - 1))
    blob[bit // 8] ^= 1 << bit % 8
    with pytest.raises(REFUSALS):
        unseal(KEY, bytes(blob))


@given(payload=payloads, data=st.data())
def test_any_part_of_a_blob_is_malformed(payload: bytes, data: st.DataObject) -> None:
    blob = seal(KEY, payload, "sentiment:1f")
    with pytest.raises(Malformed):
        unseal(KEY, blob[: data.draw(st.integers(0, len(blob) - 1))])


@given(payload=payloads, extension=st.binary(min_size=1, max_size=50))
def test_any_extension_is_malformed(payload: bytes, extension: bytes) -> None:
    with pytest.raises(Malformed):
        unseal(KEY, seal(KEY, payload, "sentiment:1f") + extension)


@given(garbage=st.binary(max_size=200))
def test_garbage_is_malformed(garbage: bytes) -> None:
    with pytest.raises(Malformed):
        unseal(KEY, garbage)


@given(garbage=st.binary(max_size=200))
def test_garbage_behind_the_magic_is_refused(garbage: bytes) -> None:
    with pytest.raises(REFUSALS):
        unseal(KEY, MAGIC + garbage)


def test_a_blob_of_a_former_key_is_read() -> None:
    sealed = seal(KEY, b"state", "sentiment:1f")
    assert unseal(b"z" * 32, sealed, [b"y" * 32, KEY]) == b"state"
    with pytest.raises(BlobTampered):
        unseal(b"z" * 32, sealed, [b"y" * 32])


def test_a_blob_of_another_key_is_refused() -> None:
    with pytest.raises(BlobTampered, match="another export key"):
        unseal(b"z" * 32, seal(KEY, b"state", "sentiment:1f"))


@given(version=st.integers(0, 65535).filter(lambda number: number != VERSION), body=st.binary(max_size=50))
def test_another_version_is_told_with_the_one_that_is_read(version: int, body: bytes) -> None:
    with pytest.raises(BlobFormatUnknown, match=f"version {version}; this service reads version {VERSION}"):
        unseal(KEY, of_version(version, body))


def test_a_forged_version_is_a_forgery_first() -> None:
    blob = bytearray(seal(KEY, b"state", "sentiment:1f"))
    blob[9] += 1
    with pytest.raises(BlobTampered):
        unseal(KEY, bytes(blob))


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\3ab", b"\0\1\xff"])
def test_an_authentic_but_senseless_body_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        unseal(KEY, of_version(VERSION, body))


def test_two_bundles_never_share_a_blob() -> None:
    assert seal(KEY, b"bc", "a") != seal(KEY, b"c", "ab")


@pytest.mark.parametrize("attempt", [lambda: seal(b"", b"state", "a"), lambda: unseal(b"", b"")])
def test_without_a_key_the_refusal_names_the_setting(attempt: Callable[[], object]) -> None:
    with pytest.raises(ExportDisabled, match="UNROLLED_EXPORT_KEY"):
        attempt()
