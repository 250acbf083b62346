"""A shipped model whose runs can be held back."""

from collections.abc import AsyncIterator

import pytest

from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.tasks.generation import GenerationModel
from tests.fakes.gated import GatedBuilder, GatedRuntime
from tests.fakes.graphs import RecordingObserver
from tests.fakes.process import Process


@pytest.fixture
async def runtime(generation: Runtime, process: Process) -> AsyncIterator[GatedRuntime]:
    """The runtime of a generation model that the process serves too."""
    gated = GatedRuntime(generation)
    process.catalog.add(
        GenerationModel(generation.bundle, Engine(gated, RecordingObserver(), builder=GatedBuilder(generation.bundle)))
    )
    process.catalog.make_current(generation.bundle.tag)
    yield gated
    gated.open()
