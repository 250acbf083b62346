"""Translates whole texts with a translation bundle's graphs and the service's beam search, to measure quality."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from export.running.directions import Features, run_layers
from export.running.rungs import Rungs
from export.stages import Arrays
from service.bundle.manifest import Bundle
from service.bundle.tasks import TranslationTask
from service.decoding.beam_search import BeamSearch, Candidates, max_length
from service.engine.ladder import covering_rung
from training.tasks.translation import lowered
from training.text.truecase import as_sentence

SENTENCES_AT_ONCE = 64


@dataclass
class _Sentence:
    """A sentence in translation: encoder features (S, H), its search, and the state of each live hypothesis."""

    memory: Features
    length: int
    search: BeamSearch
    state: Arrays


class GraphTranslator:
    """Translates with a bundle's graphs.

    Args:
        bundle: A bundle for translation.
        rungs: Its opened graphs.
    """

    def __init__(self, bundle: Bundle, rungs: Rungs) -> None:
        task = bundle.manifest.task
        if not isinstance(task, TranslationTask):
            raise TypeError(f"{bundle.tag} is a bundle for {task.kind}")
        self._task = task
        self._rungs = rungs
        self._step = rungs.stages["step"]
        self._tokenizer = Tokenizer.from_file(str(bundle.file(task.tokenizer)))

    def translate(self, texts: Sequence[str], beams: int) -> list[str]:
        """Translate texts by beam search, keeping their order."""
        sources = [np.array(found.ids) for found in self._tokenizer.encode_batch([*map(lowered, texts)])]
        order = sorted(range(len(texts)), key=lambda i: len(sources[i]))
        found: dict[int, str] = {}
        for start in range(0, len(order), SENTENCES_AT_ONCE):
            chosen = order[start : start + SENTENCES_AT_ONCE]
            sentences = [self._begin(sources[i], beams) for i in chosen]
            while under_way := [sentence for sentence in sentences if not sentence.search.is_over]:
                for size in {len(sentence.memory) for sentence in under_way}:
                    self._advance(size, [one for one in under_way if len(one.memory) == size])
            pieces = [list(sentence.search.best().pieces) for sentence in sentences]
            found.update(zip(chosen, map(as_sentence, self._tokenizer.decode_batch(pieces)), strict=True))
        return [found[i] for i in range(len(texts))]

    def _begin(self, ids: NDArray[np.int64], beams: int) -> _Sentence:
        S = covering_rung(len(ids), self._step.sizes)
        search = BeamSearch(beams, self._task.end, max_length(len(ids)), self._task.length_penalty)
        features = run_layers(self._rungs, {"x": ids[None]})[0]
        memory = np.pad(features, [(0, S - len(ids)), (0, 0)])
        return _Sentence(memory, len(ids), search, self._rungs.initial_state(1))

    def _advance(self, size: int, sentences: Sequence[_Sentence]) -> None:
        """Advance all hypotheses of sentences that share a rung by one step."""
        live = [(sentence, hypothesis) for sentence in sentences for hypothesis in sentence.search.live]
        latest = [hypothesis.pieces[-1] if hypothesis.pieces else self._task.start for _, hypothesis in live]
        inputs = {
            "token": np.array(latest),
            "memory": np.stack([sentence.memory for sentence, _ in live]),
            "length": np.array([sentence.length for sentence, _ in live]),
        }
        state = {name: np.concatenate([sentence.state[name] for sentence in sentences]) for name in sentences[0].state}
        answer = self._rungs.run(self._step, size, inputs, state)
        tokens, log_probs = answer.outputs["tokens"].tolist(), answer.outputs["log_probs"].tolist()
        start = 0
        for sentence in sentences:
            rows = range(start, start + len(sentence.search.live))
            sentence.search.extend([Candidates(tokens[row], log_probs[row]) for row in rows])
            kept = [rows[hypothesis.parents[-1]] for hypothesis in sentence.search.live]
            sentence.state = {name: values[kept] for name, values in answer.state.items()}
            start = rows.stop
