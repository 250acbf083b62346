import numpy as np

from training.data import digits


def test_every_image_is_in_one_split_only() -> None:
    rows = digits.split_rows(1797)
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(1797))
    assert {split: len(chosen) for split, chosen in rows.items()} == {"train": 1297, "dev": 250, "test": 250}


def test_images_are_eight_by_eight_with_the_digit_that_they_show() -> None:
    images, labels = digits.load("dev")
    assert (images.shape, images.dtype, labels.shape) == ((250, 8, 8), np.float32, (250,))
    assert (images.min(), images.max()) == (0, 16)
    assert set(labels.tolist()) == set(range(10))
    again, _ = digits.load("dev")
    assert np.array_equal(again, images)
