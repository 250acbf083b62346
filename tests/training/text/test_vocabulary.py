# ruff: noqa: RUF001  # typographic characters are what is tested here

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from training.text.vocabulary import CHARACTER_FOLDING, UNKNOWN, character_tokenizer, count_words, word_tokenizer

# As SST writes it.
TREEBANK = [
    "it 's a film -lrb- or is it ? -rrb- that you ca n't and wo n't forget",
    "`` great ! '' , they 've said ... and i 'd agree -- we 'll see it , i 'm sure , if you 're in",
    "a well-made 90 's drama about director\\/producer o'fallon and rock 'n' roll , with mr. smith",
    "do n't can not she clichés",
]

WORDS = word_tokenizer(TREEBANK)
CHARACTERS = character_tokenizer("\n !&',-.3:;?ABCabcxyz")


def words(tokenizer: Tokenizer, text: str) -> list[str]:
    """What the user wrote for each token."""
    return [text[start:end] for start, end in tokenizer.encode(text).offsets]


@pytest.mark.parametrize(
    ("plain", "treebank"),
    [
        ("don't", "do n't"),
        ("Don’t", "do n't"),
        ("can't", "ca n't"),
        ("cannot", "can not"),
        ("won't", "wo n't"),
        ("I've", "i 've"),
        ("it's", "it 's"),
        ("I'd, we'll, I'm", "i 'd , we 'll , i 'm"),
        ("you're", "you 're"),
        ("(or is it?)", "-lrb- or is it ? -rrb-"),
        ('"Great!"', "`` great ! ''"),
        ("“great!”", "`` great ! ''"),
        ("great! great...", "great ! great ..."),
        ("great… great—see", "great ... great -- see"),
        ("director/producer", "director\\/producer"),
        ("the 90's", "the 90 's"),
        ("rock 'n' roll", "rock 'n ' roll"),
        ("Mr. Smith", "mr. smith"),
        ("a well-made drama", "a well - made drama"),
        ("clichés", "cliche\u0301s"),
        ("she said it", "  she\tsaid\nit "),
    ],
)
def test_plain_english_and_treebank_english_get_the_same_ids(plain: str, treebank: str) -> None:
    assert WORDS.encode(plain).ids == WORDS.encode(treebank).ids


def test_words_of_the_vocabulary_are_known_in_plain_english() -> None:
    ids = WORDS.encode("\"Great!\", they've said... It's a film (or is it?) that you can't forget — I'm sure").ids
    assert WORDS.token_to_id(UNKNOWN) not in ids


def test_unknown_word_is_one_unknown_token() -> None:
    assert WORDS.encode("a zyzzyva film").tokens == ["a", UNKNOWN, "film"]


def test_unknown_is_id_0_and_frequent_words_come_first() -> None:
    tokenizer = word_tokenizer(["b a b c", "b c"])
    assert [tokenizer.id_to_token(i) for i in range(4)] == [UNKNOWN, "b", "c", "a"]


def test_offsets_are_what_the_user_wrote() -> None:
    text = "Don't (really)  miss “it”… -LRB- clichés/ﬁlm -RRB- `` Well-Made ''"
    expected = "Do|n't|(|really|)|miss|“|it|”|…|-LRB-|clichés|/|ﬁlm|-RRB-|``|Well|-|Made|''"
    assert words(WORDS, text) == expected.split("|")


ENGLISH = st.text(alphabet="abnot'’\"-.`(/\\*!? \n\tDONT“…—é\u0301\u200b\u00a0\x1c\u2028İﬁ5中", max_size=40)


@given(ENGLISH | st.text(max_size=40))
@example("a\x1fb ... -lrb-x-rrb- don''t `` \u0301x can not")
def test_words_are_chunk_additive(text: str) -> None:
    whole = WORDS.encode(text).ids
    assert whole == [i for chunk in text.split() for i in WORDS.encode(chunk).ids]


@given(ENGLISH)
def test_word_offsets_are_in_order_and_cover_no_blanks(text: str) -> None:
    offsets = WORDS.encode(text).offsets
    assert offsets == sorted(offsets)
    assert all(start < end and not text[start].isspace() for start, end in offsets)


def test_words_are_counted_as_they_are_tokenized() -> None:
    assert count_words(WORDS, ["Don't stop", "do n't"]) == {"do": 2, "n't": 2, "stop": 1}


def test_tokenizers_survive_their_file(tmp_path: Path) -> None:
    text = "Don't (really) miss “it”… x"
    for tokenizer in (WORDS, CHARACTERS):
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        loaded = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        assert (loaded.encode(text).ids, loaded.encode(text).offsets) == (
            tokenizer.encode(text).ids,
            tokenizer.encode(text).offsets,
        )


def test_character_ids_are_the_sorted_characters() -> None:
    tokenizer = character_tokenizer("banana split\n")
    assert tokenizer.encode("\n abilnpst").ids == list(range(10))
    assert tokenizer.get_vocab_size() == 11


@pytest.mark.parametrize(
    ("typed", "folded"), [("‘a’", "'a'"), ('“b” "', "'b' '"), ("a–b—c…", "a-b--c..."), ("a\u00a0b\tc\r\n", "a b c\n")]
)
def test_typographic_characters_are_folded(typed: str, folded: str) -> None:
    assert CHARACTERS.encode(typed).ids == CHARACTERS.encode(folded).ids
    assert CHARACTERS.token_to_id(UNKNOWN) not in CHARACTERS.encode(folded).ids


def test_unknown_character_gets_the_id_after_the_last_and_its_place() -> None:
    encoding = CHARACTERS.encode("a…b é")
    assert encoding.ids[-1] == CHARACTERS.get_vocab_size() - 1
    assert encoding.offsets[-1] == (4, 5)


@given(st.text(alphabet="".join(CHARACTER_FOLDING) + "abc \né中", max_size=20), st.integers(0, 20))
def test_characters_are_additive_wherever_the_text_is_cut(text: str, cut: int) -> None:
    ids = CHARACTERS.encode(text).ids
    assert ids == CHARACTERS.encode(text[:cut]).ids + CHARACTERS.encode(text[cut:]).ids


def test_what_a_text_has_is_not_folded_and_nothing_becomes_what_it_lacks() -> None:
    tokenizer = character_tokenizer('"a" \u2014 b')
    assert tokenizer.encode('"\u2014').tokens == ['"', "\u2014"]
    # It has no hyphen and no apostrophe to fold these to.
    assert tokenizer.encode("\u2013\u2019").tokens == ["[UNK]", "[UNK]"]
    assert tokenizer.encode("\u00a0").tokens == [" "]
