"""Shipped bundles."""

import pytest

from service.bundle.manifest import Bundle, read_bundle
from tests.paths import MODELS


@pytest.fixture(scope="session", params=sorted(path.parent.name for path in MODELS.glob("*/manifest.json")))
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """Each shipped bundle."""
    return read_bundle(MODELS / request.param)


@pytest.fixture(scope="session")
def generation() -> Bundle:
    """The bundle whose state has a batch axis in the middle."""
    return read_bundle(MODELS / "generation")
