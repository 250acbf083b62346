"""What is accepted as a bundle."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from service.bundle.errors import BundleDamaged, BundleError, ManifestInvalid
from service.bundle.manifest import Manifest, name_and_version, read_bundle
from service.bundle.stage import TensorSpec
from tests.service.bundle.conftest import MANIFEST, write_manifest


def test_a_sound_bundle_is_read_and_its_version_follows_its_content(directory: Path) -> None:
    bundle = read_bundle(directory)
    content = (directory / "manifest.json").read_bytes()
    assert bundle.version == hashlib.sha256(content).hexdigest()[:12]
    assert name_and_version(bundle.tag) == ("sum", bundle.version)
    write_manifest(directory, licence="Apache-2.0")
    assert read_bundle(directory).version != bundle.version


def test_an_altered_file_is_refused_by_name(directory: Path) -> None:
    with (directory / "encode-1.onnx").open("ab") as file:
        file.write(b"!")
    with pytest.raises(BundleDamaged, match=r"encode-1.onnx: sha256 is [0-9a-f]{64}, the manifest says"):
        read_bundle(directory)


def test_a_missing_file_is_refused_by_name(directory: Path) -> None:
    (directory / "encode-1.onnx").unlink()
    with pytest.raises(BundleDamaged, match=r"encode-1.onnx: missing"):
        read_bundle(directory)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_format_version_is_refused_before_anything_else(directory: Path, version: object) -> None:
    (directory / "manifest.json").write_text(json.dumps({"format_version": version, "something": "new"}))
    with pytest.raises(ManifestInvalid, match="format version"):
        read_bundle(directory)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_what_is_no_manifest_is_refused(directory: Path, content: str) -> None:
    (directory / "manifest.json").write_text(content)
    with pytest.raises(BundleDamaged):
        read_bundle(directory)


def test_a_directory_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleDamaged, match=r"no manifest\.json"):
        read_bundle(tmp_path)


def test_a_manifest_that_cannot_be_read_now_is_not_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(BundleError, match=r"cannot be read now") as refused:
        read_bundle(tmp_path)
    assert not isinstance(refused.value, BundleDamaged)


STAGE = MANIFEST["stages"][0]
UNCUT = {**STAGE, "rungs": {"1": "encode-1.onnx", "2": "encode-1.onnx"}, "inputs": []}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"surprise": 1}, "Extra inputs are not permitted"),
        ({"files": {"../../etc/passwd": "0" * 64}}, "String should match pattern"),
        ({"stages": [{**STAGE, "reads": ["h"]}]}, "uses state that is not listed"),
        ({"stages": [{**STAGE, "rungs": {"1": "other.onnx"}}]}, "uses files that are not listed"),
        ({"stages": [{**STAGE, "rungs": {"65": "encode-1.onnx"}}]}, "must be 1 to 64"),
        (
            {"stages": [{**STAGE, "rungs": {"2": "encode-1.onnx"}}]},
            r"needs a rung of 1 beside \[2\]: \"fit\": ",
        ),
        ({"stages": [UNCUT]}, "'encode' has no input to cut, with an axis 'T': \"fit\": "),
        ({"state": [{"name": "total", "dtype": "float32", "shape": [1], "initial": 0}]}, "exactly one axis 'N'"),
        ({"task": {**MANIFEST["task"], "tokenizer": "other.json"}}, "tokenizer 'other.json' is not listed"),
        ({"name": "Not A Tag"}, "String should match pattern"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(directory: Path, changes: dict[str, Any], reason: str) -> None:
    write_manifest(directory, **changes)
    with pytest.raises(ManifestInvalid, match=reason):
        read_bundle(directory)


def test_mistakes_of_a_manifest_are_listed_in_one_line(directory: Path) -> None:
    write_manifest(directory, surprise=1, licence=None)
    with pytest.raises(ManifestInvalid) as refused:
        read_bundle(directory)
    mistakes = "licence: Input should be a valid string; surprise: Extra inputs are not permitted"
    assert str(refused.value) == f"{directory}: manifest.json is not valid: {mistakes}"


def with_stages(directory: Path, *changes: dict[str, Any]) -> Manifest:
    write_manifest(directory, stages=[{**STAGE, **change} for change in changes])
    return read_bundle(directory).manifest


def test_a_model_that_reads_backwards_is_not_streamable(directory: Path) -> None:
    assert with_stages(directory, {}).is_streamable
    assert not with_stages(directory, {}, {"name": "backward1", "direction": "backward"}).is_streamable
    assert not with_stages(directory, {"name": "decode"}).is_streamable


def test_a_stage_is_found_by_its_name(directory: Path) -> None:
    manifest = with_stages(directory, {}, {"name": "decode"})
    assert [manifest.stage(name).name for name in ("decode", "encode")] == ["decode", "encode"]
    with pytest.raises(KeyError, match="forecast"):
        manifest.stage("forecast")


def test_a_tensor_has_the_shape_of_a_batch_and_a_rung() -> None:
    spec = TensorSpec(name="x", dtype="float32", shape=("T", 5, "N"))
    assert spec.sized(num_rows=2, rung=3) == (3, 5, 2)
