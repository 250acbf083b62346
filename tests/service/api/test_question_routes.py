"""Whole questions over HTTP."""

import threading
from pathlib import Path
from typing import Any

import pytest

from service.api.body_reader import BodyReader
from service.api.question_routes import QuestionRoutes
from service.bundle.manifest import read_bundle
from service.catalog import Catalog
from service.concurrency.open_answers import OpenAnswers
from service.forms.music import ComposeAnswer, ComposeRequest
from service.media.midi import midi_file
from service.metrics import Metrics
from service.questions import Questions
from service.settings import BundleSettings, EngineSettings
from service.steps.answer_room import AnswerRoom
from tests.fakes.asgi import MAX_BYTES

pytestmark = pytest.mark.anyio
SHIPPED = Path(__file__).parents[3] / "models"


async def test_a_piece_is_put_together_where_it_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = list[threading.Thread]()

    def midi_file_here(*notes: Any) -> bytes:  # noqa: ANN401
        threads.append(threading.current_thread())
        return midi_file(*notes)

    monkeypatch.setattr("service.api.question_routes.midi_file", midi_file_here)
    models = Catalog(BundleSettings(), EngineSettings(), Metrics())
    model = models.load(read_bundle(SHIPPED / "folk"))
    models.add(model)
    models.make_current(model.bundle.tag)
    models.start()
    questions = Questions(models, Metrics(), OpenAnswers(30), AnswerRoom(2**28, 30.0, lambda: 1))
    routes = QuestionRoutes(questions, BodyReader(MAX_BYTES))
    answer = await routes.compose(ComposeRequest(notes="C4", frames=1))
    await models.stop()
    assert isinstance(answer, ComposeAnswer)
    assert answer.frames[0] == [60]
    assert threading.main_thread() not in threads
