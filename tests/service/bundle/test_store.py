"""The BentoML model store, a real one in a temporary home."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json
import shutil
import sys
from pathlib import Path
import bentoml
from service.bundle.errors import BundleDamaged, ManifestInvalid
from service.bundle.store import import_bundle, newest_tag, stored_bundle, stored_tags
first = import_bundle(Path(sys.argv[1]))
again = import_bundle(Path(sys.argv[1]))
assert first == again == stored_bundle("sum:latest"), (first, again)
assert first.path != Path(sys.argv[1])
(model,) = bentoml.models.list()
assert str(model.tag) == first.tag == newest_tag("sum")
assert model.info.labels["task"] == "sentiment"
Path(model.path).with_name("half").mkdir()  # as an import begins
Path(model.path).with_name("notes.txt").write_text("of somebody")
for damage, size in enumerate((0, 10, 100, 200)):
    damaged = shutil.copytree(model.path, Path(model.path).with_name(f"damaged{damage}"))
    (damaged / "model.yaml").write_bytes((damaged / "model.yaml").read_bytes()[:size])
naive = shutil.copytree(model.path, Path(model.path).with_name("naive"))
written = (naive / "model.yaml").read_text().replace(first.version, "naive").replace("+00:00", "")
(naive / "model.yaml").write_text(written)
assert set(stored_tags(first.tag)) - {"sum:naive"} == {first.tag}
shutil.rmtree(naive)
assert stored_tags(first.tag) == [first.tag]
copy = shutil.copytree(sys.argv[1], sys.argv[1] + "-2")
manifest = Path(copy, "manifest.json")
manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "command": "another"}))
second = import_bundle(Path(copy))
assert newest_tag("sum") == second.tag
assert stored_tags(first.tag) == stored_tags(second.tag) == sorted([first.tag, second.tag])
Path(model.path).with_name("latest").write_text(first.version)  # as before an import ends
assert stored_tags(first.tag) == [first.tag]
Path(model.path).with_name("latest").write_text("damaged1")
for read in (lambda: newest_tag("sum"), lambda: stored_bundle("sum:latest"), lambda: stored_tags("sum:damaged1")):
    try:
        raise AssertionError(read())
    except BundleDamaged as error:
        assert "cannot be read" in str(error)
assert {first.tag, second.tag, "sum:damaged1"} <= set(stored_tags(first.tag))
manifest = Path(model.path, "manifest.json")
manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "of_next_year": 1}))
try:
    raise AssertionError(stored_bundle(first.tag))
except ManifestInvalid as error:
    assert "of_next_year: Extra inputs are not permitted" in str(error), error
    assert "was written by another version of Unrolled" in str(error), error
    assert "do not delete it" in str(error), error
    assert "models delete" not in str(error), error
Path(second.path, "encode-1.onnx").unlink()
try:
    raise AssertionError(stored_bundle(second.tag))
except BundleDamaged as error:
    assert f"`bentoml models delete {second.tag}` removes the damaged copy" in str(error), error
"""


def test_a_bundle_is_imported_once_and_found_by_its_tag(directory: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    script = [sys.executable, "-c", SCRIPT, str(directory)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
