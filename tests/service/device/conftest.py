"""Shipped bundles, and rows and inputs for them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from service.bundle.manifest import Bundle, read_bundle
from service.bundle.stage import Stage
from service.device.cache import RowPool
from service.engine.state import Array

MODELS = Path(__file__).parents[3] / "models"
WHOLE_NUMBERS = {"top_k": (0, 5), "filled": (0, 24), "remaining": (1, 9)}


@pytest.fixture(scope="session", params=sorted(path.parent.name for path in MODELS.glob("*/manifest.json")))
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """Each shipped bundle."""
    return read_bundle(MODELS / request.param)


@pytest.fixture(scope="session")
def generation() -> Bundle:
    """The bundle whose state has a batch axis in the middle."""
    return read_bundle(MODELS / "generation")


def random_inputs(stage: Stage, num_rows: int, length: int, seed: int = 0) -> dict[str, Array]:
    """Inputs of a batch, with their batch axes."""
    generator = np.random.default_rng(seed)
    inputs = {}
    for spec in stage.inputs:
        shape = spec.sized(num_rows, length)
        if spec.dtype == "int64":
            values: Array = generator.integers(*WHOLE_NUMBERS.get(spec.name, (1, 60)), shape)
        else:
            values = generator.uniform(0.05, 0.95, shape)
        inputs[spec.name] = values.astype(spec.dtype)
    return inputs


def chosen(stage: Stage, inputs: Mapping[str, Array], rows: Sequence[int]) -> dict[str, Array]:
    """The inputs of some rows of a batch."""
    axes = {spec.name: spec.batch_axis for spec in stage.inputs}
    return {name: values.take(rows, axis=axes[name]) for name, values in inputs.items()}


class Lookups:
    """Counts the batches whose rows a pool holds, and those that have to be uploaded."""

    def __init__(self, pool: RowPool) -> None:
        self._find = pool.ring.find
        pool.ring.find = self.find
        self.num_hits = self.num_misses = 0

    def find(self, digests: Iterable[bytes]) -> list[int] | None:
        """What the pool finds."""
        slots = self._find(digests)
        self.num_hits += slots is not None
        self.num_misses += slots is None
        return slots
