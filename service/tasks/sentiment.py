"""Sentiment: a text's words in, the probability of each label after every word out."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from service.bundle.manifest import Bundle, SentimentTask
from service.engine import Engine
from service.errors import InvalidInput, Location
from service.forms import Sentiment, SentimentAnswer, TextStep
from service.softmax import softmax
from service.state import SequenceState, initial_row
from service.tasks.task import ServedModel
from service.text import TextReader, longest_word, split_last_word

MAX_WORD_CHARACTERS = 1000


class SentimentModel(ServedModel[TextStep]):
    """A classifier that reads word by word.

    A text's last word may still grow ("wond", "erful"), so it stays pending: it is read again for every answer, on a
    state that is then thrown away. So any cut of a text gives the bits of the whole.
    """

    inputs_form: ClassVar[type[TextStep]] = TextStep

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        task = bundle.manifest.task
        if not isinstance(task, SentimentTask):
            raise TypeError(f"{bundle.tag} is a bundle for {task.kind}")
        self.labels = task.labels
        self._reader = TextReader(bundle.file(task.tokenizer))

    def initial_state(self) -> SequenceState:
        return SequenceState(rows=(initial_row(self.bundle.manifest.state),), labels=("",))

    async def classify(self, texts: Sequence[str], trajectory: bool = False) -> SentimentAnswer:
        """Judge whole texts, all at once."""
        results = await asyncio.gather(*(self._classify(i, text, trajectory) for i, text in enumerate(texts)))
        return SentimentAnswer(results=list(results), bundle=self.bundle.tag)

    async def step(self, state: SequenceState, inputs: TextStep, seed: int) -> tuple[dict[str, Any], SequenceState]:
        state, _ = await self._read(state, inputs.text, ("text",))
        _, last_word = await self._advance(state, state.pending.decode())
        return self._judge(last_word).model_dump(exclude={"trajectory"}), state

    async def _classify(self, index: int, text: str, trajectory: bool) -> Sentiment:
        state, before = await self._read(self.initial_state(), text, ("text", index))
        _, last_word = await self._advance(state, state.pending.decode())
        if not len(last_word):
            raise InvalidInput("the text holds no word", ("text", index))
        result = self._judge(last_word)
        if not trajectory:
            return result
        after_each = softmax(np.concatenate([before, last_word]))[:, self.labels.index(str(result.label))]
        words = (text[start:end] for start, end in self._reader.read(text).spans)
        return result.model_copy(update={"trajectory": list(zip(words, after_each.tolist(), strict=True))})

    async def _read(
        self, state: SequenceState, text: str, location: Location
    ) -> tuple[SequenceState, NDArray[np.float32]]:
        """Read all words but the last, which becomes pending; also the logits after each word that was read."""
        whole, pending = split_last_word(state.pending.decode() + text, self._is_word)
        if longest_word(whole + pending) > MAX_WORD_CHARACTERS:
            raise InvalidInput(f"a word is longer than {MAX_WORD_CHARACTERS} characters", location)
        state, logits = await self._advance(state, whole)
        return replace(state, pending=pending.encode()), logits

    def _is_word(self, text: str) -> bool:
        return bool(text) and len(self._reader.read(text).ids) > 0

    async def _advance(self, state: SequenceState, text: str) -> tuple[SequenceState, NDArray[np.float32]]:
        """The state after a text and the logits (T, labels) after each of its T tokens."""
        ids = self._reader.read(text).ids
        if not len(ids):
            return state, np.empty((0, len(self.labels)), dtype=np.float32)
        advance = await self.engine.advance("encode", state.row, {"x": ids}, len(ids), keep=["logits"])
        return state.advanced(advance.row, len(ids)), advance.outputs["logits"]

    def _judge(self, logits: NDArray[np.float32]) -> Sentiment:
        """The label after the last token; none where nothing has been read."""
        if not len(logits):
            return Sentiment(label=None, score=None, probabilities={})
        probabilities = dict(zip(self.labels, softmax(logits[-1]).tolist(), strict=True))
        label = max(probabilities, key=lambda name: probabilities[name])
        return Sentiment(label=label, score=probabilities[label], probabilities=probabilities)
