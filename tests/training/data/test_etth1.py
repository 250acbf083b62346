"""ETTh1's file, borders and scaler."""

import os
from pathlib import Path

import numpy as np
import pytest

from training.data import etth1, table
from training.data.series import Series
from training.data.source import BrokenLineError
from training.data.table import Table

TEXT = "date,HUFL,OT\n2016-07-01 00:00:00,5.5,30.25\n2016-07-01 01:00:00,-1,2e3\n2016-07-01 02:00:00,0,4\n"
PATH = Path("some/file.csv")


def test_a_table_has_a_row_an_hour_and_a_column_a_channel() -> None:
    found = table.parse(TEXT, PATH)
    assert found.channels == ("HUFL", "OT")
    np.testing.assert_array_equal(found.readings, [[5.5, 30.25], [-1.0, 2000.0], [0.0, 4.0]])


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "header"),
        ("time,OT\n", 1, "header"),
        (TEXT.replace(",-1,", ",minus one,"), 3, "'minus one' is not a number"),
        (TEXT.replace(",-1,", ",nan,"), 3, "not a finite number"),
        (TEXT.replace(",0,4", ",0"), 4, "1 readings, expected 2"),
    ],
)
def test_a_broken_line_is_named_with_its_file(text: str, line: int, reason: str) -> None:
    with pytest.raises(BrokenLineError, match=f"some/file.csv, line {line}: .*{reason}"):
        table.parse(text, PATH)


def test_splits_follow_one_another_and_are_of_the_published_size() -> None:
    assert [len(rows) for rows in etth1.SPLITS.values()] == [8640, 2880, 2880]
    assert etth1.SPLITS["train"].stop == etth1.SPLITS["dev"].start
    assert etth1.SPLITS["dev"].stop == etth1.SPLITS["test"].start


def test_the_scaler_is_fit_on_training_rows_alone() -> None:
    readings = np.random.default_rng(0).normal(3.0, 2.0, size=(9000, 2))
    readings[8640:] = 1e6
    series = Series(Table(("a", "b"), readings), {"train": range(8640), "dev": range(8640, 9000)}, etth1.PROTOCOL)
    standard = series.standardized[:8640]
    np.testing.assert_allclose(standard.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(standard.std(axis=0), 1.0, atol=1e-12)


@pytest.mark.data
@pytest.mark.skipif("UNROLLED_DATA_DIR" not in os.environ, reason="UNROLLED_DATA_DIR is not set")
def test_the_published_file_has_its_published_rows() -> None:
    found = etth1.load()
    assert found.channels == ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    assert found.readings.shape == (17420, 7)
    assert found.readings[0, -1] == 30.5310001373291
