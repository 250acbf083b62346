"""Rows into batches and back."""

import numpy as np

from service.bundle.manifest import StateSpec
from service.state import SequenceState, initial_row, split, stack

L, N, H, C = 2, 3, 7, 5
SPECS = (
    StateSpec(name="h", dtype="float32", shape=(L, "N", H), initial=0.0),
    StateSpec(name="pool_max", dtype="float32", shape=("N", C), initial=-1.0),
    StateSpec(name="count", dtype="int64", shape=("N",), initial=4),
)


def rows() -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    return [
        {
            "h": generator.normal(size=(L, H)).astype(np.float32),
            "pool_max": generator.normal(size=C).astype(np.float32),
            "count": np.array(n),
        }
        for n in range(N)
    ]


def test_a_fresh_row_has_the_declared_values() -> None:
    row = initial_row(SPECS)
    assert {name: (value.dtype, value.shape) for name, value in row.items()} == {
        "h": (np.float32, (L, H)),
        "pool_max": (np.float32, (C,)),
        "count": (np.int64, ()),
    }
    assert (row["pool_max"] == -1).all()
    assert row["count"] == 4


def test_a_batch_has_its_batch_axis_where_the_manifest_says() -> None:
    batch = stack(rows(), SPECS)
    assert batch["h"].shape == (L, N, H)
    assert batch["pool_max"].shape == (N, C)
    np.testing.assert_array_equal(batch["h"][:, 1], rows()[1]["h"])


def test_splitting_undoes_stacking() -> None:
    for before, after in zip(rows(), split(stack(rows(), SPECS), SPECS, N), strict=True):
        for name in before:
            np.testing.assert_array_equal(before[name], after[name])


def test_split_rows_keep_no_batch_alive() -> None:
    batch = stack(rows(), SPECS)
    assert all(not np.shares_memory(row["h"], batch["h"]) for row in split(batch, SPECS, N))


def test_advancing_counts_items_and_keeps_what_is_pending() -> None:
    before = SequenceState(rows=(rows()[0],), labels=("",), pending=b"wond", position=5)
    after = before.advanced(rows()[1], 3)
    assert (after.position, after.pending) == (8, b"wond")
    assert before.position == 5
