from itertools import pairwise
from pathlib import Path
from unicodedata import category, normalize

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.media.text import split_unfinished
from service.media.words import CharacterVocabulary, Entity, WordReader, entities, spelling
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
    assert list(map(spelling, words)) == words
    assert reader.ids(words).tolist() == word_ids(tokenizer, words)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> WordReader:
    path = tmp_path_factory.mktemp("reader") / "tokenizer.json"
    english_tokenizer(["caf\u00e9", "wonderful", "\u2764"]).save(str(path))
    return WordReader(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a won\u00adder\u00adful day", ["a", "won\u00adder\u00adful", "day"]),
        ("\ufeffdo\u00adn\u00ad't\u200f \u200b \u200e.\u200e", ["do", "n\u00ad't", "."]),
        ("e\u00ad-mail", ["e\u00ad-mail"]),
        ("I\u2764\ufe0fyou", ["I", "\u2764\ufe0f", "you"]),
        ("\U0001f469\u200d\U0001f4bb\U0001f469", ["\U0001f469\u200d\U0001f4bb", "\U0001f469"]),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", ["\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"]),
        ("\U0001f1e9 \U0001f1ea", ["\U0001f1e9", "\U0001f1ea"]),
        ("\U0001f44d\U0001f3fd!", ["\U0001f44d\U0001f3fd", "!"]),
        ("1\ufe0f\u20e3", ["1\ufe0f\u20e3"]),
        ("a\u200d.b", ["a", ".", "b"]),
        ("b\u200ba\u200b", ["b", "a"]),
        ("cafe\u0301 ca\u0301nnot", ["cafe\u0301", "ca\u0301nnot"]),
        ("a \u0301b", ["a", "\u0301b"]),
        ("\u00ad", []),
    ],
)
def test_words_are_of_what_is_seen(reader: WordReader, text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in reader.word_spans(text)] == words


@pytest.mark.parametrize(
    ("word", "looked_up"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("won\u00adder\u00adful", "wonderful"),
        ("\u2764\ufe0f", "\u2764"),
        ("\u200b", "\u200b"),
    ],
)
def test_words_are_looked_up_composed_and_as_they_are_seen(word: str, looked_up: str) -> None:
    assert spelling(word) == looked_up


def test_no_long_run_of_marks_is_composed_at_once(reader: WordReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes the square of its length."""
    lengths: list[int] = []

    def normalize_here(form: str, text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)

    monkeypatch.setattr("unicodedata.normalize", normalize_here)
    monkeypatch.setattr("service.media.characters.normalize", normalize_here)
    word = "a" + "\u0301\u0323" * 499
    assert len(spelling(word)) == len(word) - 1
    assert reader.word_spans(f"{word} b") == [(0, len(word)), (len(word) + 1, len(word) + 2)]
    assert sum(lengths) == 2 * len(word)
    assert max(lengths) == 31


MIXED = st.text(
    st.sampled_from(
        "ab'.-1n t\u00ad\u200d\u200b\ufeff\u0301\ufe0f\u20e3\u2764\U0001f469\U0001f3fd\U0001f1e9\U0001f1ea\x1c\u00a0"
    )
)


@given(st.lists(MIXED))
def test_any_cut_of_a_text_gives_the_words_of_the_whole(reader: WordReader, pieces: list[str]) -> None:
    words, pending = list[str](), ""
    for piece in [*pieces, " "]:
        whole, pending = split_unfinished(pending + piece)
        words += [whole[start:end] for start, end in reader.word_spans(whole)]
    text = "".join(pieces)
    assert words == [text[start:end] for start, end in reader.word_spans(text)]
    assert not pending


@given(MIXED)
def test_no_seen_character_is_lost(reader: WordReader, text: str) -> None:
    spans = reader.word_spans(text)
    assert all(start < end for start, end in spans)
    assert spans == sorted(spans)
    between = "".join(text[end:start] for (_, end), (start, _) in pairwise([(0, 0), *spans, (len(text), len(text))]))
    assert all(each.isspace() or category(each) == "Cf" for each in between)
