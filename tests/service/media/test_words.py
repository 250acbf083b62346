from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.media.words import CharacterVocabulary, Entity, WordReader, entities
from training.models.tagging import CHARACTERS, LONGEST_WORD
from training.tasks.tagged_sentences import spell
from training.text import bio
from training.text.english import english_tokenizer, word_ids, word_spans

TAGS = ("O", "B-person", "I-person", "B-group", "I-group")


@given(st.lists(st.sampled_from(TAGS)))
def test_entities_are_those_that_training_counts(tags: list[str]) -> None:
    assert entities(tags) == [Entity(*entity) for entity in bio.entities(tags)]


@given(st.text(min_size=1, max_size=60))
def test_words_are_spelt_as_in_training(word: str) -> None:
    assert CharacterVocabulary(CHARACTERS, LONGEST_WORD).ids(word).tolist() == spell(word)


@pytest.mark.parametrize(("word", "ids"), [("abbc", [1, 2, 2, 3]), ("abcbc", [1, 2, 2, 3]), ("ax", [1, 0]), ("", [])])
def test_of_a_long_word_both_ends_are_read(word: str, ids: list[int]) -> None:
    found = CharacterVocabulary("abc", longest_word=4).ids(word)
    assert (found.tolist(), found.dtype) == (ids, np.int64)


@pytest.mark.parametrize("text", ["Don't go to the U.S. in 1999!!", "İstanbul \N{HOURGLASS} can't", " \n"])
def test_words_and_their_ids_are_those_of_training(text: str, tmp_path: Path) -> None:
    tokenizer = english_tokenizer(["do", "n't", "0000", "u.s."])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    reader = WordReader(tmp_path / "tokenizer.json")
    assert reader.word_spans(text) == word_spans(tokenizer, text)
    words = [text[start:end] for start, end in reader.word_spans(text)]
    assert reader.ids(words).tolist() == word_ids(tokenizer, words)
