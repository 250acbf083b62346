"""The built image, which `make image-test` names; elsewhere these tests are skipped."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.engine import USER, Engine, engine

MODELS = "/srv/bentoml/models"
ADDED = f"{MODELS}/added"


@pytest.fixture(scope="session")
def runner() -> Iterator[Engine]:
    """What runs the image."""
    if "IMAGE" not in os.environ:
        pytest.skip("needs the image: make image image-test")
    with engine(targets=(ADDED,)) as found:
        yield found


@pytest.fixture
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the image's user, for its session store."""
    return _volume(tmp_path_factory.mktemp("volume"))


@pytest.fixture
def model_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another, for the model store."""
    return _volume(tmp_path_factory.mktemp("models"))


def _volume(directory: Path) -> Path:
    """The directory, given to the image's user, whom pytest's own directories do not let in."""
    for each in (directory, *list(directory.parents)[:3]):
        each.chmod(0o755)
    user, group = map(int, USER.split(":"))
    os.chown(directory, user, group)
    return directory
