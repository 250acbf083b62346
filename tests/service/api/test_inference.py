"""Which of the served bundles answers a question, with the shipped ones."""

import asyncio
import json
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.api.inference import Inference
from service.bundle.manifest import Bundle, read_bundle
from service.catalog import Catalog
from service.errors import DeadlineExceeded, ModelUnknown
from service.forms.generation import GenerateRequest
from service.forms.music import ComposeAnswer, ComposeRequest
from service.forms.sentiment import SentimentRequest
from service.metrics import Metrics
from service.midi import midi_file
from service.settings import BundleSettings, EngineSettings

pytestmark = pytest.mark.anyio
SHIPPED = Path(__file__).parents[3] / "models"


def renamed(directory: Path, name: str) -> Bundle:
    """The shipped sentiment bundle under another name."""
    shutil.copytree(SHIPPED / "sentiment", directory / name)
    manifest = directory / name / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "name": name}))
    return read_bundle(directory / name)


@pytest.fixture
async def inference(tmp_path: Path) -> AsyncIterator[Inference]:
    """Two bundles for sentiment and one for generation."""
    models = Catalog(BundleSettings(), EngineSettings(), Metrics())
    bundles = [renamed(tmp_path, "kinder"), read_bundle(SHIPPED / "sentiment"), read_bundle(SHIPPED / "generation")]
    for model in await asyncio.gather(*(asyncio.to_thread(models.load, bundle) for bundle in bundles)):
        models.add(model)
        models.make_current(model.bundle.tag)
    models.start()
    yield Inference(models, Metrics(), timeout_seconds=30)
    await models.stop()


async def asked(inference: Inference, model: str | None) -> str:
    """The name of the bundle that judges a text."""
    answer = await inference.sentiment(SentimentRequest(text="A fine film.", model=model))
    return answer.bundle.partition(":")[0]


async def test_the_bundle_that_is_named_answers_or_the_one_that_is_called_as_the_task_is(inference: Inference) -> None:
    assert await asked(inference, None) == "sentiment"
    assert await asked(inference, "sentiment") == "sentiment"
    assert await asked(inference, "kinder") == "kinder"
    answer = await inference.generate(GenerateRequest(prompt="A", max_tokens=1, model="generation"))
    assert answer.bundle.startswith("generation:")


@pytest.mark.parametrize("model", ["nobody", "generation", ""])
async def test_a_name_that_no_bundle_for_the_task_has_is_unknown(inference: Inference, model: str) -> None:
    with pytest.raises(ModelUnknown, match=r"for sentiment is served; there are \['kinder', 'sentiment'\]"):
        await asked(inference, model)


async def test_a_stream_has_the_deadline_of_all_answers(inference: Inference) -> None:
    inference._timeout_seconds = 0
    with pytest.raises(DeadlineExceeded, match="within 0 seconds"):
        await inference.stream(GenerateRequest(stream=True, model="generation"))


async def test_a_piece_is_put_together_where_it_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = list[threading.Thread]()

    def midi_file_here(*notes: Any) -> bytes:  # noqa: ANN401
        threads.append(threading.current_thread())
        return midi_file(*notes)

    monkeypatch.setattr("service.api.inference.midi_file", midi_file_here)
    models = Catalog(BundleSettings(), EngineSettings(), Metrics())
    model = models.load(read_bundle(SHIPPED / "folk"))
    models.add(model)
    models.make_current(model.bundle.tag)
    models.start()
    answer = await Inference(models, Metrics(), timeout_seconds=30).compose(ComposeRequest(notes="C4", frames=1))
    await models.stop()
    assert isinstance(answer, ComposeAnswer)
    assert answer.frames[0] == [60]
    assert threading.main_thread() not in threads


async def test_a_stream_of_an_unknown_model_is_refused_before_it_begins(inference: Inference) -> None:
    with pytest.raises(ModelUnknown, match="'sentiment'"):
        await inference.stream(GenerateRequest(stream=True, model="sentiment"))
