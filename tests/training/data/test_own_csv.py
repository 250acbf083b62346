"""Files that users call CSV: how they are written, and what is none."""

import gzip
from pathlib import Path

import pytest

from tests.training.data.tables import COLUMNS, HEADER, ROWS, changed, table
from training.data import own_texts
from training.data.own_rows import Columns, Notation
from training.data.own_table import read
from training.data.source import DataError


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_cells_may_be_parted_otherwise(tmp_path: Path, delimiter: str) -> None:
    path = table(tmp_path, [row.replace(",", delimiter) for row in ROWS], HEADER.replace(",", delimiter))
    assert len(read(path, COLUMNS).table.readings) == len(ROWS)


def test_a_quote_that_is_not_closed_is_named_with_the_line_on_which_its_row_begins(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 4: not CSV .*: is a quote not closed"):
        read(table(tmp_path, changed(2, '2020-01-01 02:00,"2.5,text,4')), COLUMNS)


def test_a_row_of_several_lines_is_named_by_its_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 4: 'much' is not a number"):
        read(table(tmp_path, changed(2, '2020-01-01 02:00,much,"a\nb",4')), COLUMNS)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("own.csv", "when,load\n2020,1\n".encode("utf-16-le"), "line 1: a zero byte: .* --encoding utf-16"),
        ("own.csv", "when,load\n2020,é\n".encode("windows-1252"), "line 2: byte 6 is not UTF-8 .* --encoding windows"),
        ("own.csv", b"when,load\n2020,\0\n", "line 2: a zero byte"),
        ("own.csv", b"PK\x03\x04\x14\x00", "is a workbook, or another kind of zip: save the sheet as CSV"),
        ("own.csv.gz", b"when,load\n", "does not unpack"),
        ("own.csv.gz", gzip.compress(b"when,load\n", mtime=0)[:-9], "does not unpack"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*{reason}"):
        read(path, COLUMNS)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Is a directory"):
        read(tmp_path, COLUMNS)


def test_a_quote_in_the_header_that_is_not_closed_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not CSV"):
        read(table(tmp_path, ROWS, header='when,"load\n'), COLUMNS)


@pytest.mark.parametrize("mark", ["", "\ufeff", "sep=;\r\n", "\ufeffSEP=;\n"])
def test_a_file_of_excels_in_most_of_europe_is_read(tmp_path: Path, mark: str) -> None:
    rows = [f"{day}.01.2020;1.{day:03},5 kWh;x, y;{day}" for day in range(1, 20)]
    path = table(tmp_path, rows, f"{mark}when;load, total;note;heat\n")
    found = read(path, Columns("when", ()))
    assert found.table.channels == ("load, total", "heat")
    assert found.table.readings[:2].tolist() == [[1001.5, 1], [1002.5, 2]]
    assert found.examples == ("'1.001,5 kWh' of 'load, total' is read as 1001.5",)


def test_the_line_before_the_header_counts(tmp_path: Path) -> None:
    rows = ["2020-01-01;much;a;1", "2020-01-02;1;a;1"]
    with pytest.raises(DataError, match="line 3: 'much' is not a number"):
        read(table(tmp_path, rows, f"sep=;\n{HEADER.replace(',', ';')}"), COLUMNS)
    with pytest.raises(DataError, match="line 2: no column 'power'"):
        read(table(tmp_path, rows, f"sep=;\n{HEADER.replace(',', ';')}"), Columns("when", ("power",)))


def test_a_table_in_another_encoding_is_read_where_it_is_named_or_marked(tmp_path: Path) -> None:
    path = table(tmp_path, ROWS, "when,Wärme,note,heat\n")
    text = path.read_text(encoding="utf-8")
    path.write_bytes(text.encode("windows-1252"))
    assert read(path, Columns("when", ("Wärme",)), notation=Notation(encoding="windows-1252")).table.channels == (
        "Wärme",
    )
    path.write_bytes(text.encode("utf-16"))
    assert read(path, Columns("when", ("Wärme",))).table.channels == ("Wärme",)


def test_empty_cells_beyond_the_header_are_nothing(tmp_path: Path) -> None:
    assert len(read(table(tmp_path, [f"{row},," for row in ROWS]), COLUMNS).table.readings) == len(ROWS)


def test_an_empty_file_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"own.csv: the file is empty"):
        read(table(tmp_path, [], ""), COLUMNS)


def test_a_header_without_rows_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"own.csv: there is a header but no row"):
        read(table(tmp_path, []), COLUMNS)


def test_a_text_that_is_too_long_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    rows = [f"{n},{'word; ' * 50_000 if n == 7 else 'word'}" for n in range(12)]
    path.write_text("label,body\n" + "\n".join(rows) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"own.csv, line 9: a text longer than 262,144 characters"):
        own_texts.read(path, "body", "label")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing data file .*nowhere.csv"):
        read(tmp_path / "nowhere.csv", COLUMNS)
