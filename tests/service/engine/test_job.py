"""Jobs into the tensors of a batch, and their outputs over several runs."""

import time
from collections.abc import Mapping

import numpy as np
import pytest

from service.engine.job import BatchBuilder, PreparedBatch, RowJob
from service.engine.scheduler import Batch, Lane
from service.engine.state import Array
from tests.fakes.graphs import LAYOUT, row_of, sum_bundle, total_of

N, T, V, C = 3, 4, 5, 7
# Every input and output has its batch axis somewhere else.
STAGE = {
    "name": "encode",
    "rungs": {1: "encode-1.onnx", T: "encode-4.onnx"},
    "inputs": [
        {"name": "x", "dtype": "float64", "shape": ["N", "T", C]},
        {"name": "y", "dtype": "int64", "shape": ["T", "N"]},
        {"name": "scale", "dtype": "float32", "shape": ["N"]},
        {"name": "bias", "dtype": "float32", "shape": [C, "N"]},
    ],
    "outputs": [
        {"name": "logits", "dtype": "float32", "shape": ["N", "T", V]},
        {"name": "late", "dtype": "int64", "shape": ["T", "N"]},
        {"name": "last", "dtype": "int64", "shape": ["N"]},
        {"name": "spread", "dtype": "float32", "shape": ["T", C, "N"]},
    ],
    "reads": ["total", "trace"],
    "writes": ["total"],
}
BUNDLE = sum_bundle(stages=[STAGE])
BUILDER = BatchBuilder(BUNDLE)


def job(n: int, num_items: int = T, keep: tuple[str, ...] = ()) -> RowJob:
    """The n-th job: every input differs from those of the others."""
    inputs = {
        "x": np.arange(num_items * C, dtype=np.float64).reshape(num_items, C) + 1000 * n,
        "y": np.arange(num_items) + 100 * n,
        "scale": np.float32(n),
        "bias": np.arange(C, dtype=np.float32) * n,
    }
    return RowJob("encode", num_items, row=row_of(n), inputs=inputs, keep=keep)


def prepared(jobs: list[RowJob], size: int = T) -> PreparedBatch:
    return BUILDER.prepare(Batch(Lane("encode", size), tuple(jobs)))


def results(names: list[str], **outputs: Array) -> list[Array]:
    """What a graph gives that was asked for these outputs."""
    return [outputs[name] for name in names]


def next_totals(*totals: int) -> Mapping[str, Array]:
    return {"total_next": np.array(totals)}


def test_every_input_has_its_batch_axis_where_the_manifest_says() -> None:
    jobs = [job(n) for n in range(N)]
    feeds = prepared(jobs).feeds
    assert {name: values.shape for name, values in feeds.items()} == {
        "x": (N, T, C),
        "y": (T, N),
        "scale": (N,),
        "bias": (C, N),
        "total": (N,),
        "trace": (2, N, 3),
    }
    for n, each in enumerate(jobs):
        np.testing.assert_array_equal(feeds["x"][n], each.inputs["x"])
        np.testing.assert_array_equal(feeds["y"][:, n], each.inputs["y"])
        np.testing.assert_array_equal(feeds["bias"][:, n], each.inputs["bias"])
    assert feeds["scale"].tolist() == feeds["total"].tolist() == [0, 1, 2]
    assert [feeds[name].dtype for name in ("x", "y", "scale")] == [np.float64, np.int64, np.float32]


def test_a_batch_of_one_has_the_same_form() -> None:
    feeds = prepared([job(2)]).feeds
    shapes = [feeds[name].shape for name in ("x", "y", "scale", "bias", "total", "trace")]
    assert shapes == [(1, T, C), (T, 1), (1,), (C, 1), (1,), (2, 1, 3)]
    assert all(feeds[name].flags.c_contiguous for name in ("x", "y", "bias"))


def test_a_rung_reads_its_window_of_the_items() -> None:
    long = job(1, num_items=9)
    long.offset = 3
    short = job(0, num_items=5)
    short.offset = 1
    feeds = prepared([long, short]).feeds
    assert feeds["y"].T.tolist() == [[103, 104, 105, 106], [1, 2, 3, 4]]


def test_a_covering_rung_is_filled_with_zeros_of_the_same_dtype() -> None:
    short = job(1, num_items=3)
    short.offset = 1
    feeds = prepared([short]).feeds
    assert feeds["y"][:, 0].tolist() == [101, 102, 0, 0]
    assert (feeds["x"].dtype, feeds["y"].dtype) == (np.float64, np.int64)
    assert (feeds["x"][0, 2:] == 0).all()


def together(numbers: list[int], num_items: int = T, keep: tuple[str, ...] = ()) -> RowJob:
    """Some jobs as one."""
    jobs = [job(n, num_items) for n in numbers]
    inputs = {name: np.stack([each.inputs[name] for each in jobs]) for name in jobs[0].inputs}
    rows = b"".join([each.row for each in jobs])
    return RowJob("encode", num_items, width=len(jobs), row=rows, inputs=inputs, keep=keep)


WIDE = [[[0, 1, 2]], [[0], [1, 2]], [[0, 1], [2]], [[0, 1], [2, 3]], [[0], [1, 2, 3], [4]]]


@pytest.mark.parametrize("numbers", WIDE, ids=str)
@pytest.mark.parametrize(("num_items", "offset"), [(T, 0), (9, 3), (9, 5)])
def test_rows_of_one_job_are_fed_as_those_of_many(numbers: list[list[int]], num_items: int, offset: int) -> None:
    some = [together(own, num_items) if len(own) > 1 else job(own[0], num_items) for own in numbers]
    alone = [job(n, num_items) for own in numbers for n in own]
    for each in (*some, *alone):
        each.offset = offset
    feeds, expected = prepared(some).feeds, prepared(alone).feeds
    assert set(feeds) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(feeds[name], values)
        assert feeds[name].dtype == values.dtype
        assert feeds[name].flags.c_contiguous


@pytest.mark.parametrize("numbers", WIDE, ids=str)
def test_rows_of_one_job_get_the_outputs_and_the_rows_of_many(numbers: list[list[int]]) -> None:
    keep = ("argmax", "late", "last")
    some = [together(own, T + 1, keep) if len(own) > 1 else job(own[0], T + 1, keep) for own in numbers]
    alone = [job(n, T + 1, keep) for own in numbers for n in own]
    for jobs in (some, alone):
        random = np.random.default_rng(0)
        for size in (T, 1):
            batch = prepared(jobs, size)
            late, last = random.integers(0, 99, (size, len(alone))), random.integers(0, 99, len(alone))
            logits = random.normal(size=(len(alone), size, V)).astype(np.float32)
            batch.apply(results(batch.names, logits=logits, late=late, last=last, **next_totals(*last)))
            for each in jobs:
                each.remaining -= size
    stage = BUILDER.stages["encode"]
    for name in keep:
        parts = [np.atleast_1d(each.outputs(stage)[name]) for each in some]
        rows = [row for part, own in zip(parts, numbers, strict=True) for row in (part if len(own) > 1 else [part])]
        np.testing.assert_array_equal(
            np.array([np.atleast_1d(row) for row in rows]),
            np.array([np.atleast_1d(each.outputs(stage)[name]) for each in alone]),
        )
    assert b"".join([each.row for each in some]) == b"".join([each.row for each in alone])


def test_only_needed_outputs_are_asked_for() -> None:
    assert prepared([job(0)]).names == ["total_next"]
    assert set(prepared([job(0, keep=("argmax",)), job(1, keep=("last",))]).names) == {"logits", "last", "total_next"}


def test_each_job_keeps_what_it_asked_for_and_its_next_row() -> None:
    jobs = [job(0, keep=("late",)), job(1, keep=("argmax", "last")), job(2)]
    batch = prepared(jobs)
    logits = np.random.default_rng(0).normal(size=(N, T, V)).astype(np.float32)
    late = np.arange(T * N).reshape(T, N)
    batch.apply(results(batch.names, logits=logits, late=late, last=np.array([7, 8, 9]), **next_totals(10, 20, 30)))
    stage = BUILDER.stages["encode"]
    assert jobs[0].outputs(stage)["late"].tolist() == [0, 3, 6, 9]
    answered = jobs[1].outputs(stage)
    assert set(answered) == {"argmax", "last"}
    assert answered["argmax"].tolist() == [max(range(V), key=lambda v: logits[1, t, v]) for t in range(T)]
    assert answered["last"] == 8
    assert jobs[2].outputs(stage) == {}
    assert [total_of(each.row) for each in jobs] == [10, 20, 30]
    assert all(each.row[8:] == LAYOUT.initial[8:] for each in jobs)


def test_an_output_with_its_batch_axis_last_is_cut_into_rows() -> None:
    jobs = [job(n, keep=("spread",)) for n in range(N)]
    batch = prepared(jobs)
    spread = np.arange(T * C * N, dtype=np.float32).reshape(T, C, N)
    batch.apply(results(batch.names, spread=spread, **next_totals(*range(N))))
    for n, each in enumerate(jobs):
        np.testing.assert_array_equal(each.outputs(BUILDER.stages["encode"])["spread"], spread[..., n])


def test_a_job_waits_anew_from_the_end_of_each_run() -> None:
    long = job(0, num_items=T + 1)
    long.waiting_since = 0.0
    before = time.perf_counter()
    prepared([long]).apply([np.array([1])])
    assert before <= long.waiting_since <= time.perf_counter()


def test_outputs_of_several_runs_are_joined_along_time_and_others_are_the_last() -> None:
    long = job(0, num_items=T + 1, keep=("logits", "late", "last", "argmax"))
    first = np.arange(T * V, dtype=np.float32).reshape(1, T, V)
    second = -np.arange(V, dtype=np.float32).reshape(1, 1, V)
    for size, logits, last in ((T, first, 5), (1, second, 6)):
        batch = prepared([long], size)
        late = np.full((size, 1), last)
        batch.apply(results(batch.names, logits=logits, late=late, last=np.array([last]), **next_totals(last)))
        long.remaining -= size
    outputs = long.outputs(BUILDER.stages["encode"])
    np.testing.assert_array_equal(outputs["logits"], np.concatenate([first[0], second[0]]))
    assert outputs["late"].tolist() == [5, 5, 5, 5, 6]
    assert outputs["argmax"].tolist() == [4, 4, 4, 4, 0]
    assert outputs["last"] == 6
    assert total_of(long.row) == 6


def test_what_is_kept_for_later_runs_keeps_no_batch_alive() -> None:
    jobs = [job(n, num_items=T + 1, keep=("logits",)) for n in range(N)]
    batch = prepared(jobs)
    logits = np.zeros((N, T, V), np.float32)
    batch.apply(results(batch.names, logits=logits, **next_totals(*range(N))))
    assert not any(np.shares_memory(each.parts[0]["logits"], logits) for each in jobs)


@pytest.mark.parametrize("poisoned", range(N))
def test_a_nan_stays_in_its_row(poisoned: int) -> None:
    jobs = [job(n) for n in range(N)]
    layout = LAYOUT.batch([each.row for each in jobs])
    trace = layout.tensors(["trace"])["trace"]
    trace[:, poisoned] = np.nan
    for each, row in zip(jobs, layout.replaced({"trace": trace}), strict=True):
        each.row = row
    batch = prepared(jobs)
    batch.apply(results(batch.names, **next_totals(*range(N))))
    is_nan = [bool(np.isnan(LAYOUT.tensor(each.row, "trace")).any()) for each in jobs]
    assert is_nan == [n == poisoned for n in range(N)]


def test_a_job_is_extended_while_it_is_under_way_and_somebody_waits_for_it() -> None:
    own = RowJob("encode", 3)
    assert own.extend(2)
    assert (own.remaining, own.num_items) == (5, 5)
    own.is_withdrawn = True
    done, failed = RowJob("encode", 0), RowJob("encode", 3, error=RuntimeError())
    assert [each.extend(2) for each in (own, done, failed)] == [False] * 3
    assert [each.remaining for each in (own, done, failed)] == [5, 0, 3]
