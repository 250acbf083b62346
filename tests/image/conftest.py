"""The built image, which `make image-test` names; elsewhere these tests are skipped."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.engine import USER, Engine, engine

ADDED = "/srv/bentoml/models/added"


@pytest.fixture(scope="session")
def runner() -> Iterator[Engine]:
    """What runs the image."""
    if "IMAGE" not in os.environ:
        pytest.skip("needs the image: make image image-test")
    with engine(targets=(ADDED,)) as found:
        yield found


@pytest.fixture
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the image's user, whom pytest's own directories do not let in."""
    directory = Path(tmp_path_factory.mktemp("volume"))
    for each in (directory, *list(directory.parents)[:3]):
        each.chmod(0o755)
    user, group = map(int, USER.split(":"))
    os.chown(directory, user, group)
    return directory
