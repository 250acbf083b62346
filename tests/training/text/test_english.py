import pytest

from training.text.english import english_tokenizer, word_ids, word_spans
from training.text.vocabulary import UNKNOWN


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't think it's John's.", "I do n't think it 's John 's ."),
        ("She CAN'T, we cannot\tand they\u2019ll", "She CA N'T , we can not and they \u2019ll"),
        ("gonna gotta wanna dont want", "gon na got ta wan na do nt want"),
        ('"Well-known" e-mail (15-year)', '" Well - known " e-mail ( 15 - year )'),
        ("The U.S. and Mr. J. Smith, etc.", "The U.S. and Mr. J. Smith , etc."),
        ("At 10:30 a.m. it cost $3.50... really?!", "At 10:30 a.m. it cost $ 3.50 ... really ?!"),
        ("see http://a.org/b?c=1, or me@b.co.uk.", "see http://a.org/b?c=1 , or me@b.co.uk ."),
        ("@ada likes #NLP :) <3 in the 1990s", "@ada likes #NLP :) <3 in the 1990s"),
        ("O'Brien's café", "O'Brien 's café"),
        ("call 713-853-3989!!!", "call 713-853-3989 !!!"),
        ("  \n ", ""),
    ],
)
def test_text_parts_as_the_treebank_has_it(text: str, words: str) -> None:
    assert [text[start:end] for start, end in word_spans(english_tokenizer([]), text)] == words.split()


def test_vocabulary_folds_case_digits_and_quotes_and_leaves_rare_words_out() -> None:
    tokenizer = english_tokenizer(["The", "the", "1984", "2001", "\u2019s", "'s", "rare"], min_count=2)
    assert tokenizer.get_vocab() == {UNKNOWN: 0, "'s": 1, "0000": 2, "the": 3}
    assert word_ids(tokenizer, ["THE", "1066", "rare", "\u2018s"]) == [3, 2, 0, 1]


def test_given_words_are_not_parted_again() -> None:
    assert word_ids(english_tokenizer(["don't"]), ["don't", "DON'T"]) == [1, 1]
