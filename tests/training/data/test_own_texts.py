"""A user's labelled texts."""

from pathlib import Path

import pytest

from training.data import own_texts
from training.data.source import DataError
from training.text.vocabulary import word_tokenizer

ROWS = [f'"text, number {i}",{["good", "bad", "odd"][i % 3]}' for i in range(60)]


def written(tmp_path: Path, rows: list[str]) -> Path:
    path = tmp_path / "own.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_any_number_of_labels_is_read_and_split_alike(tmp_path: Path) -> None:
    found = own_texts.read(written(tmp_path, ROWS), "text", "label")
    assert found.labels == ("bad", "good", "odd")
    assert [len(found.splits[split]) for split in ("train", "dev")] == [54, 6]
    for label in range(3):
        assert sum(example.label == label for example in found.splits["dev"]) == 2


def test_texts_of_several_lines_in_another_encoding_are_read(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    rows = [f'"text, {i}\r\n\u201cd\u00e9j\u00e0 vu\u201d ""quoted""";{"good" if i % 2 else "bad "}' for i in range(9)]
    path.write_bytes(("text;label\r\n" + "\r\n".join(rows)).encode("windows-1252"))
    found = own_texts.read(path, "text", "label", "windows-1252")
    assert found.labels == ("bad", "good")
    assert 'text, 3\r\n\u201cd\u00e9j\u00e0 vu\u201d "quoted"' in [
        example.sentence for example in found.splits["train"]
    ]


def test_no_text_is_in_both_parts_and_they_are_the_same_every_time(tmp_path: Path) -> None:
    path = written(tmp_path, ROWS)
    found = own_texts.read(path, "text", "label")
    train, dev = ({example.sentence for example in found.splits[split]} for split in ("train", "dev"))
    assert not train & dev
    assert len(train | dev) == len(ROWS)
    assert own_texts.read(path, "text", "label") == found


def test_rows_of_one_text_are_in_one_part_whatever_their_labels(tmp_path: Path) -> None:
    rows = [f"{word} {word},{label}" for word in "abcdefghijkl" for label in ("good", "good", "bad")]
    splits = own_texts.read(written(tmp_path, rows), "text", "label").splits
    train, dev = ({example.sentence for example in splits[split]} for split in ("train", "dev"))
    assert train
    assert dev
    assert not train & dev
    assert len(splits["train"]) + len(splits["dev"]) == len(rows)


def test_texts_of_the_same_words_are_in_one_part_however_they_are_written(tmp_path: Path) -> None:
    written_as = ("It\u2019s d\u00e9j\u00e0 vu {}", "it's deja vu {}", "IT'S  DEJA VU {}")
    rows = [f"{text.format(word)},{label}" for word in "abcdefghijkl" for text in written_as for label in ("no", "yes")]
    found = own_texts.read(written(tmp_path, rows), "text", "label")
    tokenizer = word_tokenizer(example.sentence for split in found.splits.values() for example in split)
    train, dev = (
        {tuple(tokenizer.encode(example.sentence).ids) for example in found.splits[split]} for split in ("train", "dev")
    )
    assert train
    assert dev
    assert not train & dev
    assert found.num_different == len(train | dev) == 12


def test_rows_without_a_text_or_a_label_may_be_left_out(tmp_path: Path) -> None:
    rows = [*ROWS[:30], ",good", "fine,", "\u200b,good", *ROWS[30:]]
    found = own_texts.read(written(tmp_path, rows), "text", "label", empty="skip")
    assert found.num_skipped == 3
    whole = own_texts.read(written(tmp_path, ROWS), "text", "label")
    assert (found.labels, found.splits) == (whole.labels, whole.splits)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([*ROWS[:3], "\u200b,good"], r"line 5: the text '\\u200b' has no word: remove the row"),
        ([*ROWS, "once,rare", "once,rare"], "line 62: label 'rare' has too few different texts"),
        (
            [*ROWS[:3], ",good"],
            "line 5: the text is empty: fill it in, remove the row, or leave out all such rows with --empty skip",
        ),
        ([*ROWS[:3], "fine,"], "line 5: the label is empty"),
        ([*ROWS[:3], "a,b,c"], "line 5: 3 cells, the header has 2"),
        ([*ROWS, "once,rare"], "line 62: label 'rare' has too few different texts"),
        ([*ROWS, "once,rare", "Once,rare"], "line 62: label 'rare' has too few different texts"),
        ([row for row in ROWS if "good" in row], "every label in column 'label' is 'good'; a classifier needs"),
        ([], "there is a header but no row"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, rows: list[str], reason: str) -> None:
    with pytest.raises(DataError, match=rf"own.csv.*{reason}"):
        own_texts.read(written(tmp_path, rows), "text", "label")
