"""A served model that sums up what it reads, over an engine of running sums."""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from service.bundle.manifest import Bundle
from service.engine.engine import Engine
from service.forms.form import Form
from service.forms.sentiment import TextStep
from service.record.sequence_state import SequenceState
from service.tasks.task import SequenceModel, ServedModel
from service.tasks.tokens import Ids, TokenModel
from tests.fakes.graphs import total_of


class Counted(Form):
    """How many characters were read, and the chance that was given."""

    count: int
    seed: int = 0


class SumModel(TokenModel[TextStep]):
    """Counts characters and sums up ids.

    "+" at a text's end stays pending until more comes, and counts as one then. The text "wait" waits for `go`, "fail"
    fails, "long" is answered with more than a session keeps. Every answer tells what chance it was given.
    """

    kind: ClassVar[str] = "sum"
    inputs_form: ClassVar[type[TextStep]] = TextStep
    outputs_forms: ClassVar[tuple[type[Form], ...]] = (Counted,)
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {"encode": ("x", "sums")}
    num_tokens = 100

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        self.go = asyncio.Event()
        self.num_computed = self.num_waiting = 0
        self.seeds: list[int] = []

    def _pending_ids(self, pending: bytes) -> Ids:
        return np.ones(len(pending), dtype=np.int64)

    async def step(self, state: SequenceState, inputs: TextStep, seed: int) -> tuple[dict[str, Any], SequenceState]:
        self.num_computed += 1
        self.seeds.append(seed)
        if inputs.text == "wait":
            self.num_waiting += 1
            try:
                await self.go.wait()
            finally:
                self.num_waiting -= 1
        if inputs.text == "fail":
            raise RuntimeError("the model failed")
        text = state.pending.decode() + inputs.text
        whole = text.rstrip("+")
        if whole:
            ones = np.ones(len(whole), dtype=np.int64)
            advance = await self.engine.advance("encode", state.row, {"x": ones}, len(whole))
            state = state.advanced(advance.row, len(whole))
        state = state._replace(pending=text[len(whole) :].encode())
        long = {"long": "x" * 70_000} if inputs.text == "long" else {}
        return {"count": total_of(state.row), "seed": seed, **long}, state


class WholeModel(ServedModel):
    """A model that needs whole inputs."""

    kind: ClassVar[str] = "whole"
    inputs_form: ClassVar[type[TextStep]] = TextStep
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {}


class WordyModel(SequenceModel[TextStep]):
    """Counts characters, and reads no tensors."""

    kind: ClassVar[str] = "wordy"
    inputs_form: ClassVar[type[TextStep]] = TextStep
    outputs_forms: ClassVar[tuple[type[Form], ...]] = (Counted,)
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    async def step(self, state: SequenceState, inputs: TextStep, seed: int) -> tuple[dict[str, Any], SequenceState]:
        count = state.position + len(inputs.text)
        return {"count": count}, state._replace(position=count)
