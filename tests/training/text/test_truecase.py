import pytest

from training.text.truecase import Truecaser, as_sentence

SENTENCES = [
    "Zwei Männer und ein Mann.",
    "Da sind zwei Männer.",
    "Ein Hund sieht ein Kind. Ein Kind sieht zwei Hunde.",
    "Männer und Frauen",
    "Dort steht: Ein Hund.",
]


@pytest.mark.parametrize(
    ("written", "usual"),
    [
        ("Zwei Hunde", "zwei Hunde"),
        ("Männer stehen", "Männer stehen"),
        ("Ein Mann", "ein Mann"),
        ("„Ein Hund“", "„ein Hund“"),
        ("Gärtner stehen", "Gärtner stehen"),  # never seen inside of a sentence
        ("...", "..."),
        ("", ""),
    ],
)
def test_first_word_is_written_as_inside_of_a_sentence(written: str, usual: str) -> None:
    assert Truecaser(SENTENCES)(written) == usual


def test_words_after_a_full_stop_teach_nothing() -> None:
    truecase = Truecaser(["Da ist er. Ein Hund.", "Da ist er. Ein Kind.", "Da ist ein Hund."])
    assert truecase("Ein Hund") == "ein Hund"


def test_sentences_begin_with_a_capital() -> None:
    assert [as_sentence(text) for text in ("ein Mann", "über", "Kind", "", "1 hund")] == [
        "Ein Mann",
        "Über",
        "Kind",
        "",
        "1 hund",
    ]
