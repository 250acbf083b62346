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
from service.bundle.errors import BundleDamaged
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
assert stored_tags("sum") == [first.tag]
copy = shutil.copytree(sys.argv[1], sys.argv[1] + "-2")
manifest = Path(copy, "manifest.json")
manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "command": "another"}))
second = import_bundle(Path(copy))
assert newest_tag("sum") == second.tag
assert stored_tags("sum") == sorted([first.tag, second.tag])
Path(model.path).with_name("latest").write_text(first.version)  # as before an import ends
assert stored_tags("sum") == [first.tag]
Path(model.path).with_name("latest").write_text("damaged1")
for read in (newest_tag, stored_tags, lambda name: stored_bundle(f"{name}:latest")):
    try:
        raise AssertionError(read("sum"))
    except BundleDamaged as error:
        assert "cannot be read" in str(error)
"""


def test_a_bundle_is_imported_once_and_found_by_its_tag(directory: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    script = [sys.executable, "-c", SCRIPT, str(directory)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
