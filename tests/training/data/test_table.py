import numpy as np

from training.data.table import first_rows


def test_a_channel_begins_with_its_first_reading() -> None:
    readings = np.array([[1.0, np.nan, np.nan], [2.0, np.nan, 0.0], [np.nan, 3.0, 4.0]])
    np.testing.assert_array_equal(first_rows(readings), [0, 2, 1])
