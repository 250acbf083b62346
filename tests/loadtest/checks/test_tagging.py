"""Tags that must not pass, each beside some that must."""

import pytest

from loadtest.answers import TagAnswer, Tagged, TaggedEntity, TaggedPiece, TaggedToken
from loadtest.checks.tagging import TaggedSoFar, check_entities, check_tagged

TEXT = "I saw Ada."
WORDS = [("I", "PRON", 0), ("saw", "VERB", 2), ("Ada", "PROPN", 6), (".", "PUNCT", 9)]
TOKENS = [
    TaggedToken(token=word, tag=tag, probability=0.5, start=start, end=start + len(word)) for word, tag, start in WORDS
]
RIGHT = Tagged(tokens=TOKENS)
ADA = TaggedEntity(kind="person", text="Ada", tokens=(2, 3), start=6, end=9)


def answer(*results: Tagged) -> TagAnswer:
    return TagAnswer(results=list(results), bundle="tagging:0")


def changed(index: int, **changes: object) -> Tagged:
    tokens = [*TOKENS]
    tokens[index] = tokens[index].model_copy(update=changes)
    return Tagged(tokens=tokens)


def with_entities(*entities: TaggedEntity) -> TagAnswer:
    return answer(Tagged(tokens=TOKENS, entities=list(entities)))


def test_right_tags_pass() -> None:
    assert check_tagged(answer(RIGHT, RIGHT), [TEXT, TEXT]) is None
    assert check_entities(with_entities(ADA), TEXT) is None
    assert check_entities(with_entities(), TEXT) is None


@pytest.mark.parametrize(
    ("given", "failure"),
    [
        (answer(), "count: not one result for each text"),
        (with_entities(), "entities: not asked for"),
        (answer(changed(1, tag="B-person")), "tag: no part of speech"),
        (answer(changed(1, probability=1.5)), "probability: not between 0 and 1"),
        (answer(changed(1, start=None)), "place: missing"),
        (answer(changed(1, start=3)), "place: not where the word is"),
        (answer(Tagged(tokens=TOKENS[:-1])), "words: not those of the text"),
    ],
)
def test_wrong_tags_do_not_pass(given: TagAnswer, failure: str) -> None:
    assert check_tagged(given, [TEXT]) == failure


@pytest.mark.parametrize(
    ("given", "failure"),
    [
        (answer(), "count: not one result for each text"),
        (answer(RIGHT), "entities: missing"),
        (with_entities(ADA.model_copy(update={"tokens": (2, 5)})), "entities: not made of words"),
        (with_entities(ADA.model_copy(update={"start": 5})), "entities: not where their words are"),
        (with_entities(ADA.model_copy(update={"text": "Grace"})), "entities: not the text of their words"),
    ],
)
def test_wrong_entities_do_not_pass(given: TagAnswer, failure: str) -> None:
    assert check_entities(given, TEXT) == failure


def piece(*tokens: TaggedToken, pending: list[TaggedToken] | None = None) -> TaggedPiece:
    bare = [token.model_copy(update={"start": None, "end": None}) for token in tokens]
    return TaggedPiece(tokens=bare, pending=pending or [])


def test_what_is_written_piece_by_piece_is_the_whole() -> None:
    written = TaggedSoFar(RIGHT)
    assert written.check(piece(*TOKENS[:1])) is None
    written.add(piece(*TOKENS[:1]))
    assert written.check(piece()) is None
    assert written.check_end(piece(*TOKENS[1:])) is None
    assert written.check(piece(TOKENS[2])) == "continuity: not the tags of the whole text"
    assert written.check_end(piece(*TOKENS[1:3])) == "continuity: words are missing at the end"
    assert written.check_end(piece(*TOKENS[1:], pending=TOKENS[3:])) == "continuity: words are missing at the end"
    assert written.check_end(piece(*changed(1, probability=0.25).tokens[1:])) is not None
