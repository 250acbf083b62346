"""The BentoML model store, a real one in a temporary home."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.bundle.conftest import write_bundle

PRELUDE = """
import json
import shutil
import sys
from pathlib import Path
import bentoml
import pytest
from service.bundle.errors import BundleDamaged, ManifestInvalid
from service.bundle.store import import_bundle, newest_tag, stored_bundle, stored_tags

bundle = Path(sys.argv[1])
first = import_bundle(bundle)  # does nothing if it is there
(model,) = bentoml.models.list()
versions = Path(model.path).parent

def edit_manifest(directory, **changes):
    manifest = Path(directory, "manifest.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))

def import_another():
    copy = shutil.copytree(bundle, versions.parents[1] / "another")
    edit_manifest(copy, command="another")
    return import_bundle(copy)

def write_what_is_no_version():
    (versions / "half").mkdir()  # as an import begins
    (versions / "notes.txt").write_text("of somebody")
    for damage, size in enumerate((0, 10, 100, 200)):
        damaged = shutil.copytree(model.path, versions / f"damaged{damage}")
        (damaged / "model.yaml").write_bytes((damaged / "model.yaml").read_bytes()[:size])
"""


def run(home: Path, bundle: Path, script: str) -> None:
    """Run a script, after the prelude, in a process whose model store is in that home."""
    environment = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-c", PRELUDE + script, str(bundle)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle to import."""
    directory = tmp_path_factory.mktemp("bundle")
    write_bundle(directory)
    return directory


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """The home of a store that has the bundle; to be copied."""
    home = tmp_path_factory.mktemp("home")
    run(home, bundle, "assert first == import_bundle(bundle)")
    return home


@pytest.fixture
def home(tmp_path: Path, imported: Path) -> Path:
    """A test's own copy of that home."""
    return shutil.copytree(imported, tmp_path / "home")


def test_a_bundle_is_imported_once_and_found_by_its_tag(home: Path, bundle: Path) -> None:
    run(
        home,
        bundle,
        """
assert first == import_bundle(bundle) == stored_bundle("sum:latest")
assert first.path != bundle
assert len(bentoml.models.list()) == 1
assert str(model.tag) == first.tag == newest_tag("sum")
assert model.info.labels["task"] == "sentiment"
""",
    )


def test_what_is_no_version_or_damaged_is_not_listed(home: Path, bundle: Path) -> None:
    run(
        home,
        bundle,
        """
write_what_is_no_version()
assert stored_tags(first.tag) == [first.tag]
""",
    )


def test_a_version_whose_time_names_no_zone_stops_nothing(home: Path, bundle: Path) -> None:
    run(
        home,
        bundle,
        """
naive = shutil.copytree(model.path, versions / "naive")
written = (naive / "model.yaml").read_text().replace(first.version, "naive")
assert "+00:00" in written
(naive / "model.yaml").write_text(written.replace("+00:00", ""))
assert set(stored_tags(first.tag)) - {"sum:naive"} == {first.tag}
""",
    )


def test_the_newest_version_is_the_one_imported_last(home: Path, bundle: Path) -> None:
    run(
        home,
        bundle,
        """
write_what_is_no_version()
second = import_another()
assert newest_tag("sum") == second.tag != first.tag
assert stored_tags(first.tag) == stored_tags(second.tag) == sorted([first.tag, second.tag])
""",
    )


def test_a_version_whose_import_has_not_ended_is_not_listed(home: Path, bundle: Path) -> None:
    run(
        home,
        bundle,
        """
import_another()
(versions / "latest").write_text(first.version)
assert stored_tags(first.tag) == [first.tag]
""",
    )


def test_a_damaged_newest_version_is_an_error_only_where_it_is_asked_for(home: Path, bundle: Path) -> None:
    run(
        home,
        bundle,
        """
write_what_is_no_version()
second = import_another()
(versions / "latest").write_text("damaged1")
for read in (lambda: newest_tag("sum"), lambda: stored_bundle("sum:latest"), lambda: stored_tags("sum:damaged1")):
    with pytest.raises(BundleDamaged, match="cannot be read"):
        read()
assert {first.tag, second.tag, "sum:damaged1"} <= set(stored_tags(first.tag))
""",
    )


def test_a_bundle_of_another_version_of_unrolled_is_not_to_be_deleted(home: Path, bundle: Path) -> None:
    run(
        home,
        bundle,
        """
edit_manifest(model.path, of_next_year=1)
with pytest.raises(ManifestInvalid) as refused:
    stored_bundle(first.tag)
said = str(refused.value)
assert "of_next_year: Extra inputs are not permitted" in said, said
assert "was written by another version of Unrolled" in said, said
assert "do not delete it" in said, said
assert "models delete" not in said, said
""",
    )


def test_a_damaged_bundle_is_refused_with_the_command_that_removes_it(home: Path, bundle: Path) -> None:
    run(
        home,
        bundle,
        """
Path(first.path, "encode-1.onnx").unlink()
with pytest.raises(BundleDamaged) as refused:
    stored_bundle(first.tag)
assert f"`bentoml models delete {first.tag}` removes the damaged copy" in str(refused.value), refused.value
""",
    )
