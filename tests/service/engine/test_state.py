"""Rows of bytes into batches of tensors, and back."""

import numpy as np
import pytest

from service.bundle.stage import StateSpec
from service.engine.state import Array, RowLayout, row_bytes

L, N, H, C = 2, 3, 7, 5
SPECS = (
    StateSpec(name="h", dtype="float32", shape=(L, "N", H), initial=0.0),
    StateSpec(name="pool_max", dtype="float64", shape=("N", C), initial=-1.0),
    StateSpec(name="count", dtype="int64", shape=("N",), initial=4),
    StateSpec(name="trace", dtype="float32", shape=(H, C, "N"), initial=0.25),
)
LAYOUT = RowLayout(SPECS)
ROW_BYTES = 4 * L * H + 8 * C + 8 + 4 * H * C


def tensors(seed: int) -> dict[str, Array]:
    """A batch of random tensors, each with N where its spec has it."""
    generator = np.random.default_rng(seed)
    shapes = {spec.name: [N if axis == "N" else int(axis) for axis in spec.shape] for spec in SPECS}
    return {spec.name: (generator.normal(size=shapes[spec.name]) * 100).astype(spec.dtype) for spec in SPECS}


def rows(seed: int) -> list[bytes]:
    return LAYOUT.batch([LAYOUT.initial] * N).replaced(tensors(seed))


def test_a_fresh_row_has_the_declared_values() -> None:
    assert LAYOUT.num_bytes == len(LAYOUT.initial) == ROW_BYTES
    for spec in SPECS:
        values = LAYOUT.tensor(LAYOUT.initial, spec.name)
        assert (values.dtype, values.shape) == (np.dtype(spec.dtype), spec.row_shape)
        assert (values == spec.initial).all()


def test_a_row_holds_its_tensors_in_the_manifests_order() -> None:
    batch = tensors(0)
    by_hand = [batch["h"][:, 1], batch["pool_max"][1], batch["count"][1], batch["trace"][..., 1]]
    assert rows(0)[1] == b"".join(values.tobytes() for values in by_hand)


def test_gathering_undoes_scattering_for_every_dtype_and_batch_axis() -> None:
    gathered = LAYOUT.batch(rows(0)).tensors([spec.name for spec in SPECS])
    for name, values in tensors(0).items():
        assert (gathered[name].dtype, gathered[name].shape) == (values.dtype, values.shape)
        np.testing.assert_array_equal(gathered[name], values)


def test_one_tensor_of_one_row_is_that_of_the_batch() -> None:
    for n, row in enumerate(rows(0)):
        for spec in SPECS:
            expected = np.take(tensors(0)[spec.name], n, axis=spec.batch_axis)
            np.testing.assert_array_equal(LAYOUT.tensor(row, spec.name), expected)


def test_a_row_alone_is_gathered_as_in_a_batch() -> None:
    for n, row in enumerate(rows(0)):
        alone = LAYOUT.batch([row]).tensors([spec.name for spec in SPECS])
        for spec in SPECS:
            expected = np.take(tensors(0)[spec.name], [n], axis=spec.batch_axis)
            assert (alone[spec.name].dtype, alone[spec.name].shape) == (expected.dtype, expected.shape)
            assert alone[spec.name].flags.c_contiguous
            np.testing.assert_array_equal(alone[spec.name], expected)


@pytest.mark.parametrize("num_rows", [1, N])
def test_rows_of_another_length_are_refused(num_rows: int) -> None:
    with pytest.raises(ValueError, match="reshape"):
        LAYOUT.batch([LAYOUT.initial[:-1]] * num_rows)


def test_gathered_tensors_are_contiguous_and_in_memory_of_their_own() -> None:
    batch = LAYOUT.batch(rows(0))
    gathered = batch.tensors(["h", "pool_max", "trace"])
    assert all(values.flags.c_contiguous and values.flags.writeable for values in gathered.values())
    gathered["pool_max"][...] = 0
    np.testing.assert_array_equal(batch.tensors(["pool_max"])["pool_max"], tensors(0)["pool_max"])


def test_a_partial_write_keeps_the_other_tensors() -> None:
    written = {name: tensors(1)[name] for name in ("pool_max", "trace")}
    after = LAYOUT.batch(rows(0)).replaced(written)
    gathered = LAYOUT.batch(after).tensors([spec.name for spec in SPECS])
    for name, values in (tensors(0) | written).items():
        np.testing.assert_array_equal(gathered[name], values)
    for n, row in enumerate(rows(0)):
        alone = {spec.name: np.take(written[spec.name], [n], spec.batch_axis) for spec in SPECS if spec.name in written}
        assert LAYOUT.batch([row]).replaced(alone) == [after[n]]


def test_a_row_alone_is_written_as_in_a_batch() -> None:
    for n, expected in enumerate(rows(0)):
        alone = {spec.name: np.take(tensors(0)[spec.name], [n], axis=spec.batch_axis) for spec in reversed(SPECS)}
        wider = alone | {"h": alone["h"].astype(np.float64)}  # a graph's output is stored as the manifest says
        assert LAYOUT.batch([LAYOUT.initial]).replaced(alone) == [expected]
        assert LAYOUT.batch([LAYOUT.initial]).replaced(wider, [1]) == [expected]


@pytest.mark.parametrize("num_rows", [1, N])
def test_a_graph_that_gives_another_number_of_rows_is_refused(num_rows: int) -> None:
    batch = LAYOUT.batch([LAYOUT.initial] * num_rows)
    for given in (0, num_rows + 1):
        wrong = {
            spec.name: np.zeros([given if axis == "N" else int(axis) for axis in spec.shape], spec.dtype)
            for spec in SPECS
        }
        with pytest.raises(ValueError, match=r"gave|broadcast"):
            batch.replaced(wrong)


def test_a_write_leaves_the_rows_that_were_given() -> None:
    before = rows(0)
    copies = [bytes(bytearray(row)) for row in before]
    LAYOUT.batch(before).replaced(tensors(1))
    assert before == copies


def test_a_row_that_is_read_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        LAYOUT.tensor(LAYOUT.initial, "h")[0] = 1


def test_rows_without_tensors_are_empty_rows() -> None:
    layout = RowLayout([])
    assert layout.batch([layout.initial] * N).replaced({}) == [b""] * N


def test_each_row_of_a_table_is_all_of_its_bytes() -> None:
    table = np.array([[7, 1, 0, 0, 9], [7, 0, 0, 0, 9]], np.uint8)
    assert row_bytes(table[:, 1:4]) == [b"\1\0\0", b"\0\0\0"]
    assert row_bytes(table[:, :0]) == [b"", b""]
