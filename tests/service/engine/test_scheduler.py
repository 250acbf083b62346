"""The scheduler, with small numbers and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from service.engine.ladder import Ladder
from service.engine.scheduler import Batch, Job, Lane, Scheduler


def scheduler(max_batch_rows: int = 3, max_queue_rows: int = 100) -> Scheduler[Job]:
    ladders = {"encode": Ladder((1, 8, 32), is_exact=True), "decode": Ladder((8, 32), is_exact=False)}
    return Scheduler(ladders, max_batch_rows, max_queue_rows)


def admit(target: Scheduler[Job], *lengths: int, stage: str = "encode") -> list[Job]:
    jobs = [Job(stage, length) for length in lengths]
    for job in jobs:
        target.admit(job)
    return jobs


def taken(target: Scheduler[Job]) -> Batch[Job]:
    batch = target.schedule()
    assert batch is not None
    return batch


def test_nothing_waits_in_an_empty_scheduler() -> None:
    assert scheduler().schedule() is None


def test_jobs_of_one_rung_share_a_batch_up_to_the_limit() -> None:
    target = scheduler(max_batch_rows=3)
    jobs = admit(target, 1, 1, 1, 1)
    assert taken(target) == Batch(Lane("encode", 1), tuple(jobs[:3]))
    assert taken(target) == Batch(Lane("encode", 1), tuple(jobs[3:]))


def test_stages_never_share_a_batch() -> None:
    target = scheduler()
    (step,) = admit(target, 8)
    (generation,) = admit(target, 8, stage="decode")
    assert taken(target).jobs == (step,)
    assert taken(target).jobs == (generation,)


def test_a_job_goes_down_the_ladder_until_it_is_done() -> None:
    target = scheduler()
    (job,) = admit(target, 42)
    sizes = []
    while batch := target.schedule():
        sizes.append(batch.lane.rung)
        done = target.complete(batch)
    assert sizes == [32, 8, 1, 1]
    assert done == (job,)
    assert target.num_admitted == 0


def test_a_covering_rung_finishes_what_is_shorter_than_it() -> None:
    target = scheduler()
    (job,) = admit(target, 5, stage="decode")
    batch = taken(target)
    assert batch.lane == Lane("decode", 8)
    assert target.complete(batch) == (job,)


def test_jobs_join_a_batch_at_every_turn() -> None:
    target = scheduler()
    (first,) = admit(target, 2)
    target.complete(taken(target))
    (second,) = admit(target, 1)
    assert taken(target).jobs == (first, second)


def test_a_long_prompt_does_not_starve_single_steps() -> None:
    target = scheduler()
    (prompt,) = admit(target, 32 * 100)
    target.complete(taken(target))
    (step,) = admit(target, 1)
    turns = 0
    while step.remaining:
        target.complete(taken(target))
        turns += 1
    assert turns <= 2
    assert prompt.remaining > 32 * 90


def test_a_stream_of_single_steps_does_not_starve_a_long_prompt() -> None:
    target = scheduler(max_batch_rows=2)
    (prompt,) = admit(target, 32 * 3)
    for _ in range(20):
        admit(target, 1)
        target.complete(taken(target))
    assert prompt.remaining == 0


def test_rows_of_many_lengths_share_the_longest_rung_that_enough_of_them_can_take() -> None:
    target = scheduler(max_batch_rows=64)
    jobs = admit(target, *[40] * 10, *[9] * 10, *[3] * 10)
    batch = taken(target)
    assert (batch.lane.rung, batch.jobs) == (8, tuple(jobs[:20]))
    assert taken(target).jobs == tuple(jobs[20:])


def test_a_row_that_took_a_shorter_rung_for_company_has_its_own_the_next_time_that_it_is_first() -> None:
    target = scheduler(max_batch_rows=64)
    (prompt, *steps) = admit(target, 33, 1, 1)
    batch = taken(target)
    assert (batch.lane.rung, batch.jobs) == (1, (prompt, *steps))
    target.complete(batch)
    admit(target, 1, 1)
    assert taken(target) == Batch(Lane("encode", 32), (prompt,))


def test_a_row_that_took_a_shorter_rung_goes_on_with_enough_others_on_a_longer_one() -> None:
    target = scheduler(max_batch_rows=64)
    (_, prompt, *texts) = admit(target, 1, 41, *[9] * 16)
    batch = taken(target)
    assert (batch.lane.rung, batch.num_rows) == (1, 18)
    target.complete(batch)
    assert taken(target) == Batch(Lane("encode", 8), (prompt, *texts))


def test_a_row_that_took_shorter_rungs_often_has_its_own_the_next_time_that_it_is_first() -> None:
    target = scheduler(max_batch_rows=64)
    (prompt,) = admit(target, 32 * 10)
    rungs: list[int] = []
    for _ in range(10):
        admit(target, *[8] * 16)
        batch = taken(target)
        target.complete(batch)
        if prompt in batch.jobs:
            rungs.append(batch.lane.rung)
    assert rungs[:9] == [*[8] * 8, 32]


def test_a_row_that_took_a_shorter_rung_and_has_less_than_its_own_left_takes_what_fits() -> None:
    target = scheduler(max_batch_rows=64)
    (prompt, *_) = admit(target, 8, 1, 1)
    target.complete(taken(target))
    assert taken(target) == Batch(Lane("encode", 1), (prompt,))


def test_a_row_that_took_its_own_rung_shares_shorter_ones_afterwards() -> None:
    target = scheduler(max_batch_rows=64)
    (prompt, *_) = admit(target, 97, 1, 1)
    for rung in (1, 32):  # a shorter one first, so that its own is reserved
        batch = taken(target)
        assert batch.lane.rung == rung
        target.complete(batch)
    steps = admit(target, *[1] * 16)
    assert taken(target) == Batch(Lane("encode", 1), (prompt, *steps))


def test_where_a_run_holds_few_rows_fewer_are_company_enough() -> None:
    target = scheduler(max_batch_rows=2)
    jobs = admit(target, 8, 8, 1, 1)
    assert taken(target) == Batch(Lane("encode", 8), tuple(jobs[:2]))


def test_a_stage_with_more_jobs_than_runs_hold_does_not_starve_another() -> None:
    target = scheduler(max_batch_rows=1)
    admit(target, 1, 1, 1)
    (generation,) = admit(target, 8, stage="decode")
    for _ in range(4):
        admit(target, 1)
        target.complete(taken(target))
    assert generation.remaining == 0


def test_the_queue_is_bounded_in_rows_that_wait_or_run() -> None:
    target = scheduler(max_queue_rows=2)
    admit(target, 1, 1)
    assert not target.can_admit(1)
    batch = taken(target)
    assert not target.can_admit(1)
    target.complete(batch)
    assert target.can_admit(2)


def test_it_tells_how_many_wait_in_the_queue_that_is_next_and_gives_fewer_on_request() -> None:
    target = scheduler(max_batch_rows=4)
    assert target.num_next == 0
    jobs = admit(target, 1, 1, 1)
    admit(target, 8, stage="decode")
    assert target.num_next == 3
    batch = target.schedule(max_rows=2)
    assert batch is not None
    assert batch.jobs == tuple(jobs[:2])


def test_a_withdrawn_job_leaves_its_lane_and_its_place() -> None:
    target = scheduler()
    first, second = admit(target, 1, 1)
    target.withdraw(first)
    assert target.num_admitted == 1
    assert taken(target).jobs == (second,)


def test_a_withdrawn_job_of_a_stage_whose_rungs_cover_lengths_leaves_its_queue() -> None:
    target = scheduler()
    first, second = admit(target, 5, 5, stage="decode")
    target.withdraw(first)
    assert (target.num_admitted, target.is_empty) == (1, False)
    target.withdraw(second)
    assert (target.num_admitted, target.is_empty) == (0, True)


def test_withdrawing_what_is_done_or_running_changes_nothing() -> None:
    target = scheduler()
    (done,) = admit(target, 1)
    target.complete(taken(target))
    (running,) = admit(target, 9)
    batch = taken(target)
    target.withdraw(done)
    target.withdraw(running)
    assert target.num_admitted == 1
    assert target.complete(batch) == ()
    assert taken(target).jobs == (running,)


def test_a_dropped_job_makes_room_and_never_comes_back() -> None:
    target = scheduler(max_queue_rows=1)
    (job,) = admit(target, 64)
    taken(target)
    target.drop(job)
    assert target.can_admit(1)
    assert target.schedule() is None


def wide(target: Scheduler[Job], *widths: int, length: int = 1) -> list[Job]:
    """Jobs of so many rows each."""
    jobs = [Job("encode", length, width=width) for width in widths]
    for job in jobs:
        target.admit(job)
    return jobs


def test_a_job_of_several_rows_takes_as_many_places() -> None:
    target = scheduler(max_batch_rows=8, max_queue_rows=10)
    first, second, third = wide(target, 5, 3, 2)
    assert (target.num_admitted, target.num_next, target.can_admit(1)) == (10, 10, False)
    batch = taken(target)
    assert (batch.jobs, batch.num_rows, target.num_next) == ((first, second), 8, 2)
    assert target.complete(batch) == (first, second)
    assert target.num_admitted == 2
    assert taken(target).jobs == (third,)


def test_a_job_that_does_not_fit_any_more_lets_nobody_pass() -> None:
    target = scheduler(max_batch_rows=8)
    narrow, broad, last = wide(target, 1, 8, 1)
    assert [taken(target).jobs for _ in range(3)] == [(narrow,), (broad,), (last,)]


def test_the_first_job_runs_however_few_rows_are_asked_for() -> None:
    target = scheduler(max_batch_rows=8)
    broad, narrow = wide(target, 6, 1)
    batch = target.schedule(max_rows=4)
    assert batch is not None
    assert batch.jobs == (broad,)
    assert taken(target).jobs == (narrow,)


def test_the_rows_of_a_wide_job_are_company_enough_for_their_own_rung() -> None:
    target = scheduler(max_batch_rows=64)
    (many,) = wide(target, 20, length=40)
    (step,) = wide(target, 1)
    assert taken(target) == Batch(Lane("encode", 32), (many,))
    assert taken(target).jobs == (step,)


def test_a_wide_job_that_is_withdrawn_or_dropped_gives_all_its_places_back() -> None:
    target = scheduler(max_batch_rows=8, max_queue_rows=8)
    waiting, running = wide(target, 3, 5)
    target.withdraw(waiting)
    assert (target.num_admitted, target.num_next) == (5, 5)
    batch = taken(target)
    target.withdraw(running)
    assert target.num_admitted == 5
    target.drop(batch.jobs[0])
    assert target.can_admit(8)
    assert target.schedule() is None


WORK = st.tuples(st.sampled_from(["encode", "decode"]), st.integers(1, 200), st.integers(1, 7))


@given(st.lists(WORK, max_size=40), st.integers(1, 7))
def test_every_job_is_done_exactly_once_and_no_batch_is_too_large(work: list[tuple[str, int, int]], rows: int) -> None:
    target = scheduler(max_batch_rows=rows, max_queue_rows=1000)
    jobs = [Job(stage, length, width=min(width, rows)) for stage, length, width in work]
    for job in jobs:
        target.admit(job)
    assert target.num_admitted == sum(job.width for job in jobs)
    done: list[Job] = []
    while batch := target.schedule():
        assert 1 <= batch.num_rows <= rows
        assert {job.stage for job in batch.jobs} == {batch.lane.stage}
        done.extend(target.complete(batch))
    assert sorted(map(id, done)) == sorted(map(id, jobs))
    assert target.num_admitted == 0
