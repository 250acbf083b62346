"""Translation: a text in, its translation out, by beam search with attention to the whole text."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from service.bundle.errors import BundleGraphMismatch
from service.bundle.manifest import Bundle
from service.bundle.tasks import TranslationTask
from service.concurrency.waiting import together
from service.decoding.beam_search import BeamSearch, Candidates, Hypothesis, max_length
from service.engine.engine import Engine
from service.engine.ladder import covering_rung
from service.engine.state import Inputs
from service.errors import InvalidInput, Location
from service.forms.form import Form
from service.forms.translation import AttentionMap, TranslateAnswer, TranslatedText, TranslateRequest
from service.media.characters import without_format_characters
from service.media.text import BLANK, UNKNOWN, PieceReader
from service.tasks.bidirectional import FEATURES, NUM_DIRECTIONS, BidirectionalEncoder
from service.tasks.task import ServedModel
from service.tasks.texts import read_each

STEP = "step"
TEXTS_AT_ONCE = 16  # of longer lists, together: at every step, their hypotheses queue ahead of all later rows

Ids = NDArray[np.int64]
Memory = NDArray[np.float32]


class TranslationModel(ServedModel):
    """An encoder-decoder.

    The encoder's directions and layers are stages. Its features are padded to the decoder's rung that covers the text,
    which depends on the text's own length only, and every hypothesis is its own row. So a translation has the same bits
    alone and in any batch.
    """

    kind: ClassVar[str] = "translation"
    inputs_form: ClassVar[type[Form]] = TranslateRequest
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "forward1": ("x", FEATURES),
        "backward1": ("x", FEATURES),
        STEP: ("token", "memory", "length", "tokens", "log_probs", "attention"),
    }

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        task = self.spec(TranslationTask)
        self.target = task.target
        self._task = task
        self._reader = PieceReader(bundle.file(task.tokenizer))
        step = bundle.manifest.stage(STEP)
        self._sizes = tuple(sorted(step.rungs))
        self._encoder = BidirectionalEncoder(bundle, engine, self.layout.initial)
        self.max_beams = self._num_candidates(bundle) // 2
        self._many = asyncio.Semaphore(TEXTS_AT_ONCE)

    @staticmethod
    def _num_candidates(bundle: Bundle) -> int:
        """Return how many pieces a decoder step returns."""
        (tokens,) = (tensor for tensor in bundle.manifest.stage(STEP).outputs if tensor.name == "tokens")
        number = tokens.shape[-1]
        if not isinstance(number, int) or number < 2:
            raise BundleGraphMismatch(f"{bundle.tag}: a step answers {number} pieces, not two or more")
        return number

    async def translate(
        self, texts: Sequence[str], locations: Sequence[Location], beams: int, attention: bool
    ) -> TranslateAnswer:
        """Translate whole texts by beam search.

        Lists of more than TEXTS_AT_ONCE texts share that many places, first come, first served, so that the oldest list
        ends first instead of all of them too late. Shorter ones do not wait for a place.

        Args:
            texts: In the source language.
            locations: Where each text is in the request, for errors.
            beams: Number of hypotheses kept.
            attention: Whether to return attention weights, float32 (target pieces, source pieces) for each text.

        Raises:
            InvalidInput: A text has nothing to translate, no known character or too many pieces, or there are too many
                beams.
            TooLarge: There are more hypotheses at a time than the engine's queue can ever hold.
            QueueFull: The engine's queue has no room.
            ShuttingDown: The worker is shutting down.
        """
        if beams > self.max_beams:
            raise InvalidInput(f"{self.name} searches with at most {self.max_beams} beams", ("beams",))
        self.engine.check_rows(min(len(texts), TEXTS_AT_ONCE), max(beams, NUM_DIRECTIONS), "texts")
        sources = await read_each(self._read, texts, locations)
        place = self._many if len(texts) > TEXTS_AT_ONCE else nullcontext()
        translations = await together(self._translate(ids, beams, attention, place) for ids in sources)
        return TranslateAnswer(translations=translations, bundle=self.bundle.tag)

    def _read(self, text: str, location: Location) -> Ids:
        """Return the pieces of a text."""
        ids = self._reader.read(without_format_characters(text).lower())
        if not len(ids):
            raise InvalidInput("the text holds nothing to translate", location)
        if len(ids) > max(self._sizes):
            raise InvalidInput(
                f"the text has {len(ids)} pieces of words; {self.name} reads {max(self._sizes)} at once: "
                "send its sentences one by one, as a list",
                location,
            )
        if {BLANK, UNKNOWN}.issuperset(self._reader.pieces(ids.tolist())):
            raise InvalidInput("the text has no character that the model knows", location)
        return ids

    async def _translate(
        self, ids: Ids, beams: int, attention: bool, place: AbstractAsyncContextManager[object]
    ) -> TranslatedText:
        search = BeamSearch(beams, self._task.end, max_length(len(ids)), self._task.length_penalty)
        async with place:
            memory = await self._encode(ids)
            weights = await self._search(search, memory, len(ids), attention)
        best = search.best()
        shown = self._map(ids, best, weights) if attention else None
        return TranslatedText(
            text=self._print(best),
            score=search.score(best),
            unknown_characters=self._reader.pieces(ids.tolist()).count(UNKNOWN),
            attention=shown,
        )

    async def _encode(self, ids: Ids) -> Memory:
        """Return the memory that the decoder attends to, float32 (rung, features), zeros after the text."""
        features = await self._encoder.features({"x": ids}, len(ids))
        memory = np.zeros((covering_rung(len(ids), self._sizes), features.shape[1]), dtype=np.float32)
        memory[: len(ids)] = features
        return memory

    async def _search(self, search: BeamSearch, memory: Memory, length: int, attention: bool) -> list[list[Memory]]:
        """Search to the end.

        Returns:
            For each step, the attention (S,) of each live hypothesis. Empty if not requested.
        """
        keep = ("tokens", "log_probs", *(["attention"] if attention else []))
        rows = [self.layout.initial]
        weights = []
        while not search.is_over:
            inputs = [self._inputs(hypothesis, memory, length) for hypothesis in search.live]
            advances = await self.engine.advance_all(STEP, rows, inputs, [length] * len(rows), keep)
            if attention:
                weights.append([advance.outputs["attention"][:length] for advance in advances])
            search.extend(
                [
                    Candidates(advance.outputs["tokens"].tolist(), advance.outputs["log_probs"].tolist())
                    for advance in advances
                ]
            )
            rows = [advances[hypothesis.parents[-1]].row for hypothesis in search.live]
        return weights

    def _inputs(self, hypothesis: Hypothesis, memory: Memory, length: int) -> Inputs:
        latest = hypothesis.pieces[-1] if hypothesis.pieces else self._task.start
        return {"token": np.array(latest), "memory": memory, "length": np.array(length)}

    def _map(self, ids: Ids, best: Hypothesis, weights: Sequence[Sequence[Memory]]) -> AttentionMap:
        """Return where each piece of a translation, and its end, attended."""
        has_ended = len(best.parents) > len(best.pieces)
        written = (*best.pieces, self._task.end) if has_ended else best.pieces
        return AttentionMap(
            source=self._reader.pieces(ids.tolist()),
            target=self._reader.pieces(written),
            weights=[weights[step][rank].tolist() for step, rank in enumerate(best.parents)],
        )

    def _print(self, best: Hypothesis) -> str:
        """Return a translation as text that begins with a capital."""
        text = self._reader.text(best.pieces)
        return text[:1].upper() + text[1:]
