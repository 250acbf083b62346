"""The BentoML model store, a real one in a temporary home."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
import bentoml
from service.bundle.store import import_bundle, newest_tag, stored_bundle
first = import_bundle(Path(sys.argv[1]))
again = import_bundle(Path(sys.argv[1]))
assert first == again == stored_bundle("sum:latest"), (first, again)
assert first.path != Path(sys.argv[1])
(model,) = bentoml.models.list()
assert str(model.tag) == first.tag == newest_tag("sum")
assert model.info.labels["task"] == "sentiment"
"""


def test_a_bundle_is_imported_once_and_found_by_its_tag(directory: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    script = [sys.executable, "-c", SCRIPT, str(directory)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
