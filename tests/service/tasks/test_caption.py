"""Captioning over graphs that write a script: an image decides where it begins."""

import asyncio
import base64
import contextlib
import io
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.engine.engine import Engine
from service.errors import InvalidInput, NotStreamable
from service.forms.caption import CaptionRequest
from service.tasks.caption import CaptionModel
from service.tasks.task import SequenceModel, tensor_model
from tests.fakes.graphs import RecordingObserver
from tests.fakes.script import DECODE, STATE, ScriptGraphs

pytestmark = pytest.mark.anyio
WORDS = (".", "a", "thin", "bold", "seven", "on", "the", "left")
LOOK = {
    "name": "look",
    "rungs": {1: "look-1.onnx"},
    "inputs": [{"name": "x", "dtype": "float32", "shape": ["N", 3, 3]}],
    "outputs": [],
    "reads": [],
    "writes": STATE,
}
SCRIPT = [1, 2, 4, 5, 6, 7, 0, 1, 3, 4, 0]


def image(first: float) -> list[list[float]]:
    return [[first, 0, 0], [0, 1, 0], [0, 0, 16]]


@pytest.fixture
def graphs() -> ScriptGraphs:
    task = {"kind": "caption", "words": WORDS, "size": 3, "largest": 16}
    return ScriptGraphs(task, [LOOK, DECODE], SCRIPT, len(WORDS))


@pytest.fixture
async def model(graphs: ScriptGraphs) -> AsyncIterator[CaptionModel]:
    engine = Engine(graphs, RecordingObserver())
    engine.start()
    yield CaptionModel(graphs.bundle, engine)
    await engine.stop()


@pytest.mark.parametrize(("first", "sentence"), [(0, "A thin seven on the left."), (7, "A bold seven."), (10, ".")])
async def test_a_sentence_ends_where_the_decoder_ends_it(model: CaptionModel, first: float, sentence: str) -> None:
    answer = await model.describe(CaptionRequest(image=image(first)), seed=5)
    assert answer.caption == sentence
    assert answer.words == sentence.lower().rstrip(".").split()
    assert (answer.pixels, answer.seed, answer.bundle) == (image(first), 5, "script:0")


async def test_a_decoder_that_never_ends_is_ended(graphs: ScriptGraphs, model: CaptionModel) -> None:
    graphs._script = np.array([1])
    answer = await model.describe(CaptionRequest(image=image(0)), seed=1)
    assert len(answer.words) == 64


async def test_a_picture_is_read_as_pixels(model: CaptionModel) -> None:
    drawing = np.zeros((30, 30), dtype=np.uint8)
    drawing[:, 10:20] = 255
    content = io.BytesIO()
    Image.fromarray(drawing).save(content, "PNG")
    answer = await model.describe(CaptionRequest(image=base64.b64encode(content.getvalue()).decode()), seed=1)
    assert answer.pixels == [[0, 16, 0]] * 3


async def test_one_file_is_unpacked_at_a_time(model: CaptionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    both, num_met = threading.Barrier(2), 0

    def read_image(*_: object) -> NDArray[np.float32]:
        nonlocal num_met
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.05)
            num_met += 1
        return np.zeros((3, 3), dtype=np.float32)

    monkeypatch.setattr("service.tasks.caption.read_image", read_image)
    await asyncio.gather(*(model.describe(CaptionRequest(image="aaaa"), seed=1) for _ in range(2)))
    assert num_met == 0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([[0.0, 1.0], [1.0, 0.0]], "3 rows of 3 pixels"),
        ([[0.0, 1.0, 2.0], [1.0, 0.0], [1.0, 2.0, 3.0]], "3 rows of 3 pixels"),
        (image(16.5), "from 0 to 16"),
        ([[0.0] * 3] * 3, "the image is blank"),
        ("no base64!", "not base64, which has no character '!'"),
        ("kein Bäse64", "not base64, which has no character 'ä'"),
        (base64.b64encode(b"no picture").decode(), "not a PNG or JPEG"),
    ],
)
async def test_what_is_no_image_is_refused(model: CaptionModel, given: object, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        await model.describe(CaptionRequest(image=given), seed=1)
    assert refused.value.errors[0][0] == ("image",)


async def test_there_are_no_sessions(model: CaptionModel) -> None:
    assert not isinstance(model, SequenceModel)
    with pytest.raises(NotStreamable, match="needs whole inputs in its own form"):
        tensor_model(model)
