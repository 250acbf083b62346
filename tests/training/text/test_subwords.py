import numpy as np
import pytest
from tokenizers import Tokenizer

from training.text.subwords import (
    END,
    END_ID,
    START,
    START_ID,
    UNKNOWN,
    UNKNOWN_ID,
    Merges,
    SubwordSampler,
    subword_tokenizer,
)
from training.text.vocabulary import words_of

TEXTS = [
    "the boy's dog isn't here",
    'two dogs and two boys, there: "boys"',
    "l'homme et les hommes d'aujourd'hui",
    "der Mann und die Männer",
] * 3


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return subword_tokenizer(TEXTS, 90)


def test_special_pieces_come_first(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(piece) for piece in (END, START, UNKNOWN)] == [END_ID, START_ID, UNKNOWN_ID]
    assert tokenizer.get_vocab_size() <= 90


@pytest.mark.parametrize("text", TEXTS[:4])
def test_pieces_give_the_text_back(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_same_texts_make_the_same_tokenizer(tokenizer: Tokenizer) -> None:
    assert subword_tokenizer(TEXTS, 90).to_str() == tokenizer.to_str()


def test_kinds_of_quotes_and_blanks_do_not_matter(tokenizer: Tokenizer) -> None:
    plain = tokenizer.encode('the boy\'s "dog" - here').ids
    assert tokenizer.encode(" the  boy\u2019s \u201edog\u201c \u2013 here\n").ids == plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the boy's dog", ["▁the", "▁boy", "'s", "▁dog"]),
        ("isn't", ["▁isn", "'t"]),
        ("l'homme d'ici", ["▁l'", "homme", "▁d'", "ici"]),
        ("ein T-Shirt.", ["▁ein", "▁T", "-", "Shirt", "."]),
        ('"Hut", 12', ['▁"', "Hut", '"', ",", "▁12"]),
        ("dogs' food", ["▁dogs", "'", "▁food"]),
    ],
)
def test_words_part_where_pieces_must(tokenizer: Tokenizer, text: str, words: list[str]) -> None:
    assert words_of(tokenizer, text) == words


def test_unknown_characters_are_unknown(tokenizer: Tokenizer) -> None:
    assert UNKNOWN_ID in tokenizer.encode("☃").ids


def test_merges_without_dropout_are_the_tokenizers_own(tokenizer: Tokenizer) -> None:
    merges, rng = Merges(tokenizer), np.random.default_rng(1)
    for text in [*TEXTS, "boys ☃"]:
        ids = [piece for word in words_of(tokenizer, text) for piece in merges.encode(word, 0.0, rng)]
        assert ids == tokenizer.encode(text).ids


def test_all_merges_dropped_leaves_characters(tokenizer: Tokenizer) -> None:
    ids = Merges(tokenizer).encode("▁boys", 1.0, np.random.default_rng(1))
    assert [tokenizer.id_to_token(piece) for piece in ids] == list("▁boys")


def test_sampler_without_dropout_reads_the_usual_pieces(tokenizer: Tokenizer) -> None:
    sampler = SubwordSampler(tokenizer, TEXTS[:4], 0.0, np.random.default_rng(1))
    drawn = sampler.draw(np.random.default_rng(2))
    assert [ids.tolist() for ids in drawn] == [tokenizer.encode(text).ids for text in TEXTS[:4]]


def test_sampler_reads_other_pieces_of_the_same_texts(tokenizer: Tokenizer) -> None:
    sampler = SubwordSampler(tokenizer, TEXTS[:4], 0.5, np.random.default_rng(1))
    first, again, other = (sampler.draw(np.random.default_rng(seed)) for seed in (2, 2, 3))
    assert [ids.tolist() for ids in first] == [ids.tolist() for ids in again]
    assert [ids.tolist() for ids in first] != [ids.tolist() for ids in other]
    for drawn in (first, other):
        assert [tokenizer.decode(ids.tolist()) for ids in drawn] == TEXTS[:4]
    assert sum(map(len, first)) > sum(len(tokenizer.encode(text).ids) for text in TEXTS[:4])
