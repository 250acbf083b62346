"""Tagging: words in, the probability of a tag for each out."""

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import chain
from typing import Any, ClassVar, NamedTuple

import numpy as np

from service.bundle.manifest import Bundle
from service.bundle.stage import ITEM_STAGE
from service.bundle.tasks import TaggingTask
from service.concurrency.waiting import off_loop, together
from service.decoding.softmax import softmax
from service.engine.engine import Engine
from service.engine.state import Inputs
from service.errors import InvalidInput, Location
from service.forms.form import Form
from service.forms.tagging import (
    MAX_TEXT_WORDS,
    MAX_WORDS_TOGETHER,
    TagAnswer,
    Tagged,
    TaggedEntity,
    TaggedToken,
    TagRequest,
    TagStep,
    TagStepAnswer,
    check_num_words,
)
from service.media.text import check_words, split_unfinished
from service.media.words import CharacterVocabulary, WordReader, entities, spelling
from service.record.sequence_state import SequenceState
from service.tasks.bidirectional import FEATURES, NUM_DIRECTIONS, BidirectionalEncoder
from service.tasks.character_encoder import CharacterEncoder, Features
from service.tasks.portions import MAX_WORDS_IN_GRAPHS, portions
from service.tasks.task import SequenceModel, ServedModel
from service.tasks.texts import read_each

BIO = "bio"
WORK_OF_WORD = 4  # in `off_loop`'s units of size: making a word's row, or choosing its tag, takes 5 µs

MANY_WORDS = 2**10  # requests with more words than this run at most MANY_AT_ONCE at a time
MANY_AT_ONCE = 2

# What each word takes of an answer until that is sent, as objects and as JSON twice, and what it takes where it is an
# entity of its own, too: 660 and 600, and at most 16 for each of its characters, in either.
WORD_BYTES, ENTITY_BYTES, CHARACTER_BYTES = 704, 608, 16
LARGE_BYTES = MANY_WORDS * WORD_BYTES  # an answer that takes less is little

# One for all tokens, and one for all entities: the set takes twice as much as all else of them.
_FIELDS, _ENTITY_FIELDS = set(TaggedToken.model_fields), set(TaggedEntity.model_fields)

Vectors = Mapping[str, Features]  # of words, by their spelling


class Words(NamedTuple):
    """The words of a text, and where each is in it, unless they were sent as words."""

    words: Sequence[str]
    spans: Sequence[tuple[int, int]] | None = None


class TaggingModel(ServedModel):
    """A tagger of the words of texts."""

    kind: ClassVar[str] = "tagging"
    num_rows_of_text: ClassVar[int] = 1  # rows per text that are in the engine at a time

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        task = self.spec(TaggingTask)
        self.tags = task.tags
        self.scheme = task.scheme
        self._reader = WordReader(bundle.file(task.tokenizer))
        stages = [stage for stage in bundle.manifest.stages if stage.name.startswith("characters_")]
        vocabulary = CharacterVocabulary(task.characters, task.longest_word)
        self._characters = CharacterEncoder(engine, self.layout, stages, vocabulary)
        self._many = asyncio.Semaphore(MANY_AT_ONCE)

    async def split(self, texts: Sequence[str], locations: Sequence[Location]) -> list[Words]:
        """Split whole texts into words. `locations` is where each text is in the request, for errors.

        Raises:
            InvalidInput: A text has no word, one that is too long, or too many, or all texts together have too many.
        """
        num_words = 0

        def split(text: str, location: Location) -> Words:
            nonlocal num_words
            if num_words > MAX_WORDS_TOGETHER:  # refused below: no more of them need memory
                return Words([])
            words = self._split(text, location)
            num_words += len(words.words)
            return words

        split_texts = await read_each(split, texts, locations)
        try:
            check_num_words(num_words)
        except ValueError as error:
            raise InvalidInput(str(error), ("text",)) from None
        return split_texts

    async def tag(self, texts: Sequence[Words]) -> TagAnswer:
        """Tag the words of whole texts.

        Raises:
            TooLarge: There are more texts than the engine's queue can ever hold.
            QueueFull: The engine's queue has no room.
            ShuttingDown: The worker is shutting down.
        """
        results = []
        for some in portions(texts, (len(text.words) for text in texts), MAX_WORDS_IN_GRAPHS):
            async with self._room(sum(len(text.words) for text in some)):
                results += await self._tag(some)
        return TagAnswer(results=results, bundle=self.bundle.tag)

    async def _tag(self, texts: Sequence[Words]) -> list[Tagged]:
        self.engine.check_rows(len(texts), self.num_rows_of_text, "texts")
        # All texts at once, or each would have its own words waiting in the engine.
        spelt = await _spelt([text.words for text in texts])
        vectors = await self._characters.vectors(chain.from_iterable(spelt))
        size = WORK_OF_WORD * sum(len(text.words) for text in texts)
        inputs = await off_loop(size, lambda: [self._inputs(spellings, vectors) for spellings in spelt])
        logits = await together(self._logits(each, len(text.words)) for each, text in zip(inputs, texts, strict=True))
        return await off_loop(size, lambda: list(map(self._tagged, texts, logits)))

    def answer_bytes(self, texts: Sequence[Words]) -> int:
        """What an answer takes at most until it is sent. 0 if that is little."""
        num_words = sum(len(text.words) for text in texts)
        num_characters = sum(len(word) for text in texts for word in text.words)
        num_bytes = num_words * WORD_BYTES + num_characters * CHARACTER_BYTES
        if self.scheme == BIO:
            num_bytes += num_words * ENTITY_BYTES + num_characters * CHARACTER_BYTES
        return num_bytes if num_bytes > LARGE_BYTES else 0

    def _room(self, num_words: int) -> AbstractAsyncContextManager[object]:
        """Return what a request with this many words waits for, which limits what all requests take in graphs."""
        return self._many if num_words > MANY_WORDS else nullcontext()

    @abstractmethod
    async def _logits(self, inputs: Inputs, num_words: int) -> Features:
        """Return the logits of each word of a whole text, float32 (T, tags)."""

    def _inputs(self, spellings: Sequence[str], vectors: Vectors) -> Inputs:
        """Return words as the first stage over words reads them."""
        return {"x": self._reader.ids(spellings), "characters": np.stack([vectors[word] for word in spellings])}

    def _tagged(self, text: Words, logits: Features) -> Tagged:
        tokens = self._judge(text, logits)
        return Tagged(tokens=tokens, entities=_entities(tokens) if self.scheme == BIO else None)

    def _judge(self, text: Words, logits: Features) -> list[TaggedToken]:
        """Return the most probable tag of each word."""
        best = logits.argmax(axis=1)
        probabilities = softmax(logits)[np.arange(len(best)), best].tolist()
        spans: Sequence[tuple[int | None, int | None]] = text.spans or [(None, None)] * len(best)
        return [
            TaggedToken.model_construct(
                _FIELDS, token=word, tag=self.tags[tag], probability=probability, start=start, end=end
            )
            for word, tag, probability, (start, end) in zip(text.words, best, probabilities, spans, strict=True)
        ]

    def _split(self, text: str, location: Location) -> Words:
        spans = self._spans(text, location)
        if not spans:
            raise InvalidInput("the text holds no word", location)
        return Words([text[start:end] for start, end in spans], spans)

    def _spans(self, text: str, location: Location) -> list[tuple[int, int]]:
        """Return where the words of a text are."""
        check_words(text, location)
        spans = self._reader.word_spans(text)
        if len(spans) > MAX_TEXT_WORDS:
            raise InvalidInput(f"the text has {len(spans)} words; at most {MAX_TEXT_WORDS} are read at once", location)
        return spans


class StreamingTaggingModel(TaggingModel, SequenceModel[TagStep]):
    """A tagger that reads word by word, from left to right.

    In a session, what follows the last white space of a text may still grow, so it stays pending: every answer tags it
    on a state that is then thrown away. So any cut of a text gives the same tags as the whole.
    """

    inputs_form: ClassVar[type[Form]] = TagStep
    outputs_forms: ClassVar[tuple[type[Form], ...]] = (TagStepAnswer,)
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "characters_forward": ("x", FEATURES),
        ITEM_STAGE: ("x", "characters", "logits"),
    }

    def parse(self, inputs: dict[str, Any]) -> TagStep:
        if "ids" in inputs:
            raise InvalidInput(f"{self.name} reads text or tokens, since it needs the characters of words", ("ids",))
        return super().parse(inputs)

    async def step(self, state: SequenceState, inputs: TagStep, seed: int) -> tuple[dict[str, Any], SequenceState]:
        text = state.pending.decode() + (inputs.text or "")
        async with self._room(max(len(text) // 2, len(inputs.tokens or []))):
            words, pending, rest = await off_loop(len(text), lambda: self._cut(text, inputs))
            state, tagged = await self._tag_on(state, words)
            state = state._replace(pending=pending.encode())
            _, unfinished = await self._tag_on(state, rest)
        return TagStepAnswer(tokens=tagged, pending=unfinished).model_dump(), state

    def _cut(self, text: str, inputs: TagStep) -> tuple[list[str], str, list[str]]:
        """Cut a growing text.

        Returns:
            The complete words, the unfinished end of the text, which stays pending, and the words in that end.
        """
        check_words(text, ("text",))
        if len(text) > MAX_TEXT_WORDS:
            self._spans(text, ("text",))
        whole, pending = (text, "") if inputs.end or inputs.tokens else split_unfinished(text)
        words, rest = ([part[start:end] for start, end in self._reader.word_spans(part)] for part in (whole, pending))
        return [*words, *(inputs.tokens or [])], pending, rest

    async def _tag_on(self, state: SequenceState, words: Sequence[str]) -> tuple[SequenceState, list[TaggedToken]]:
        """Tag the next words of a sequence."""
        if not words:
            return state, []
        (spellings,) = await _spelt([words])
        vectors = await self._characters.vectors(spellings)
        inputs = await off_loop(WORK_OF_WORD * len(words), lambda: self._inputs(spellings, vectors))
        advance = await self.engine.advance(ITEM_STAGE, state.row, inputs, len(words), keep=["logits"])
        tagged = await off_loop(WORK_OF_WORD * len(words), lambda: self._judge(Words(words), advance.outputs["logits"]))
        return state.advanced(advance.row, len(words)), tagged

    async def _logits(self, inputs: Inputs, num_words: int) -> Features:
        advance = await self.engine.advance(ITEM_STAGE, self.layout.initial, inputs, num_words, keep=["logits"])
        return advance.outputs["logits"]


class WholeTaggingModel(TaggingModel):
    """A tagger that reads whole texts, in both directions. It has no sessions."""

    inputs_form: ClassVar[type[Form]] = TagRequest
    num_rows_of_text: ClassVar[int] = NUM_DIRECTIONS
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "characters_forward": ("x", FEATURES),
        "characters_backward": ("x", FEATURES),
        "forward1": ("x", "characters", FEATURES),
        "backward1": ("x", "characters", FEATURES),
        "head": ("x", "logits"),
    }

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        self._encoder = BidirectionalEncoder(bundle, engine, self.layout.initial)

    async def _logits(self, inputs: Inputs, num_words: int) -> Features:
        return await self._encoder.logits(inputs, num_words)


async def _spelt(texts: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the words of texts as they are looked up."""
    num_characters = sum(len(word) for words in texts for word in words)
    return await off_loop(num_characters, lambda: [list(map(spelling, words)) for words in texts])


def _entities(tokens: Sequence[TaggedToken]) -> list[TaggedEntity]:
    """Return the entities that the tags of a text mark, with their places."""
    return [
        TaggedEntity.model_construct(
            _ENTITY_FIELDS,
            kind=found.kind,
            text=" ".join(token.token for token in tokens[found.first : found.end]),
            tokens=(found.first, found.end),
            start=tokens[found.first].start,
            end=tokens[found.end - 1].end,
        )
        for found in entities([token.tag for token in tokens])
    ]
