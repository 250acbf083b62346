"""Whole questions over HTTP."""

import threading
from typing import Any

import pytest

from service.api.body_reader import BodyReader
from service.api.question_routes import QuestionRoutes
from service.bundle.manifest import read_bundle
from service.forms.music import ComposeAnswer, ComposeRequest
from service.media.midi import midi_file
from tests.fakes.asgi import MAX_BYTES
from tests.fakes.catalog import new_catalog, questions_to
from tests.paths import MODELS

pytestmark = pytest.mark.anyio


async def test_a_piece_is_put_together_where_it_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = list[threading.Thread]()

    def midi_file_here(*notes: Any) -> bytes:  # noqa: ANN401
        threads.append(threading.current_thread())
        return midi_file(*notes)

    monkeypatch.setattr("service.api.question_routes.midi_file", midi_file_here)
    catalog = new_catalog()
    async with questions_to(catalog, [catalog.load(read_bundle(MODELS / "folk"))]) as questions:
        routes = QuestionRoutes(questions, BodyReader(MAX_BYTES))
        answer = await routes.compose(ComposeRequest(notes="C4", frames=1))
    assert isinstance(answer, ComposeAnswer)
    assert answer.frames[0] == [60]
    assert threading.main_thread() not in threads
