"""Sentiment: a text's words in, the probability of each label after every word out."""

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from service.bundle.manifest import Bundle
from service.bundle.stage import ITEM_STAGE
from service.bundle.tasks import SentimentTask
from service.concurrency.waiting import off_loop, together
from service.decoding.softmax import softmax
from service.engine.engine import Engine
from service.errors import InvalidInput, Location
from service.forms.form import Form
from service.forms.sentiment import Sentiment, SentimentAnswer, SentimentRequest, TextStep
from service.media.text import TextReader, Tokens, check_words, split_last_word
from service.record.sequence_state import SequenceState
from service.tasks.bidirectional import FEATURES, NUM_DIRECTIONS, BidirectionalEncoder
from service.tasks.portions import MAX_WORDS_IN_GRAPHS, portions
from service.tasks.task import ServedModel
from service.tasks.texts import read_each
from service.tasks.tokens import TokenModel


class SentimentModel(ServedModel):
    """A classifier of texts by their words."""

    kind: ClassVar[str] = "sentiment"
    num_rows_of_text: ClassVar[int] = 1  # rows per text that are in the engine at a time

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        task = self.spec(SentimentTask)
        self.labels = task.labels
        self._reader = TextReader(bundle.file(task.tokenizer))

    async def classify(self, texts: Sequence[str], locations: Sequence[Location], trajectory: bool) -> SentimentAnswer:
        """Classify whole texts.

        Args:
            texts: As they were sent.
            locations: Where each text is in the request, for errors.
            trajectory: Whether to return the label's probability after each word, too.

        Raises:
            InvalidInput: A text has no word or one that is too long, or the model has no trajectory.
            TooLarge: There are more texts than the engine's queue can ever hold.
            QueueFull: The engine's queue has no room.
            ShuttingDown: The worker is shutting down.
        """
        self.engine.check_rows(len(texts), self.num_rows_of_text, "texts")
        tokens = await read_each(self._whole, texts, locations)
        results: list[Sentiment] = []
        for some in portions(zip(texts, tokens, strict=True), (len(each.ids) for each in tokens), MAX_WORDS_IN_GRAPHS):
            results += await together(self._classify(*work, trajectory) for work in some)
        return SentimentAnswer(results=results, bundle=self.bundle.tag)

    @abstractmethod
    async def _classify(self, text: str, tokens: Tokens, trajectory: bool) -> Sentiment:
        """Classify a whole text."""

    def _whole(self, text: str, location: Location) -> Tokens:
        """Return the tokens of a text that must have some."""
        check_words(text, location)
        tokens = self._reader.read(text)
        if not len(tokens.ids):
            raise InvalidInput("the text holds no word", location)
        return tokens

    def _judge(self, logits: NDArray[np.float32]) -> Sentiment:
        """Return the label after the last token, or no label if nothing has been read."""
        if not len(logits):
            return Sentiment(label=None, score=None, probabilities={})
        probabilities = dict(zip(self.labels, softmax(logits[-1]).tolist(), strict=True))
        label = max(probabilities, key=lambda name: probabilities[name])
        return Sentiment(label=label, score=probabilities[label], probabilities=probabilities)


class StreamingSentimentModel(SentimentModel, TokenModel[TextStep]):
    """A classifier that reads word by word.

    A text's last word may still grow ("wond", "erful"), so it stays pending: every answer reads it on a state that is
    then thrown away. So any cut of a text gives the same bits as the whole text at once.
    """

    inputs_form: ClassVar[type[Form]] = TextStep
    outputs_forms: ClassVar[tuple[type[Form], ...]] = (Sentiment,)
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {ITEM_STAGE: ("x", "logits")}

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        self.num_tokens = self._reader.num_tokens

    async def step(self, state: SequenceState, inputs: TextStep, seed: int) -> tuple[dict[str, Any], SequenceState]:
        text = state.pending.decode() + inputs.text
        ids, pending, last_ids = await off_loop(len(text), lambda: self._cut(text))
        state, _ = await self._advance(state, ids)
        state = state._replace(pending=pending.encode())
        _, logits = await self._advance(state, last_ids, keep=True)
        return self._judge(logits).model_dump(exclude={"trajectory"}), state

    async def _classify(self, text: str, tokens: Tokens, trajectory: bool) -> Sentiment:
        _, logits = await self._advance(self.initial_state(), tokens.ids, keep=True)
        result = self._judge(logits)
        if not trajectory:
            return result
        scores = softmax(logits)[:, self.labels.index(str(result.label))].tolist()
        words = (text[start:end] for start, end in tokens.spans)
        return result.model_copy(update={"trajectory": list(zip(words, scores, strict=True))})

    def _pending_ids(self, pending: bytes) -> NDArray[np.int64]:
        return self._reader.read(pending.decode()).ids

    def _cut(self, text: str) -> tuple[NDArray[np.int64], str, NDArray[np.int64]]:
        """Cut a text before its last word.

        Returns:
            The ids of all words but the last, the last word, which stays pending, and its ids.
        """
        check_words(text, ("text",))
        tokens = self._reader.read(text)
        whole, pending = split_last_word(text, tokens.spans[-1][0] if tokens.spans else None)
        num_whole = bisect_left(tokens.spans, (len(whole),))
        return tokens.ids[:num_whole], pending, tokens.ids[num_whole:]


class WholeTextSentimentModel(SentimentModel):
    """A classifier that reads whole texts, in both directions. It has no sessions."""

    inputs_form: ClassVar[type[Form]] = SentimentRequest
    num_rows_of_text: ClassVar[int] = NUM_DIRECTIONS
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "forward1": ("x", FEATURES),
        "backward1": ("x", FEATURES),
        "head": ("x", "logits"),
    }

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        self._encoder = BidirectionalEncoder(bundle, engine, self.layout.initial)

    async def _classify(self, text: str, tokens: Tokens, trajectory: bool) -> Sentiment:
        if trajectory:
            raise InvalidInput(f"{self.name} reads texts from both ends, so there is no trajectory", ("trajectory",))
        return self._judge(await self._encoder.logits({"x": tokens.ids}, len(tokens.ids)))
