"""Rows of many records at once: those that each record has alone."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from service.record.ids import new_session_id
from service.stores.base import CHECKPOINT, Record, SwapGroup
from service.stores.lmdb.rows import (
    Rows,
    entry_minute_of,
    has_same_entries,
    is_intact,
    key_of,
    next_rows,
    step_of,
    to_rows,
    with_entry_minute,
)

IDS = [new_session_id(1000.0 * n) for n in range(6)]
ODD = ["no id", "other"]  # ids that are not as ids are issued
STEPS = st.integers(1, 2**62)


@dataclass
class Following:
    """Records that follow what is stored."""

    group: SwapGroup
    stored: list[bytes]
    keys: list[bytes]

    def alone(self, index: int) -> Rows:
        """The rows of one of them, with its index entry as late as it may be."""
        record = self.group.swap(index).record
        entry_minute = min(record.expires_at // 60, entry_minute_of(self.stored[index]))
        return to_rows(self.keys[index], record, entry_minute)


BYTES = st.integers(0, 2**32 - 1)


def table(seed: int, num: int, length: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num, length), dtype=np.uint8)


@st.composite
def followings(draw: st.DrawFn) -> Following:
    """Some records and what is stored before them: mostly what they follow, else a thing that differs somewhere."""
    ids = draw(st.permutations([*IDS, *ODD] if draw(st.booleans()) else IDS))
    num = draw(st.integers(1, len(ids)))
    head_length, tail_length = draw(st.sampled_from([(0, 0), (70, 30), (90, 2000), (80, 4200), (300, 9000)]))
    used_at, ttl_seconds = draw(st.integers(600, 7000)), st.sampled_from([0, 59, 60, 3600])
    names = draw(st.sampled_from([("ann", "echo:1"), ("", ""), ("ünn", "echo:2" * 20)]))
    steps = draw(st.lists(STEPS, min_size=num, max_size=num))
    seed = draw(BYTES)
    bodies = table(seed, num, head_length), table(seed + 1, num, tail_length)
    ttls = draw(st.lists(ttl_seconds, min_size=num, max_size=num))
    group = SwapGroup(ids[:num], steps, ttls, *names, used_at, *bodies)
    keys = [key_of(session_id) for session_id in group.session_ids]
    stored = [draw(heads(group.swap(index).record, keys[index])) for index in range(num)]
    return Following(group, stored, keys)


@st.composite
def heads(draw: st.DrawFn, record: Record, key: bytes) -> bytes:
    """What is stored before a record."""
    before = record._replace(step=record.step - 1, body=bytes(len(record.body)))
    change = draw(
        st.sampled_from(
            [{}] * 10
            + [{"step": record.step}, {"used_at": record.used_at - 60}, {"used_at": record.used_at + 1}]
            + [{"ttl_seconds": record.ttl_seconds + 1}, {"ended": "ended"}, {"ended": CHECKPOINT}, {"body": b""}]
            + [{"owner": "bob"}, {"bundle": "echo:3"}, {"body": bytes(len(record.body) + 1)}]
        )
    )
    before = before._replace(**change)
    due = before.expires_at // 60
    head = to_rows(key, before, draw(st.sampled_from([due, due, max(0, due - 7), due + 7]))).head
    kind = draw(st.sampled_from(["intact"] * 10 + ["moved", "altered", "cut", "none"]))
    if kind == "moved":
        return with_entry_minute(key, head, draw(st.integers(0, due)))
    if kind == "altered":
        position = draw(st.integers(0, len(head) - 1))
        return head[:position] + bytes([head[position] ^ 1]) + head[position + 1 :]
    return {"intact": head, "cut": head[: draw(st.integers(0, len(head)))], "none": b""}[kind]


@given(followings())
@settings(suppress_health_check=[HealthCheck.too_slow])  # drawn slowly where the machine is busy
def test_what_has_won_is_what_each_record_would_be_alone(following: Following) -> None:
    found = next_rows(following.keys, following.stored, following.group)
    for index, (key, before) in enumerate(zip(following.keys, following.stored, strict=True)):
        rows = found[index]
        if rows is None:
            continue
        assert is_intact(key, before)
        assert step_of(before) == following.group.steps[index] - 1
        alone = following.alone(index)
        assert has_same_entries(before, alone)
        _, head, tail = rows
        assert (head, bytes(tail)) == (alone.head, alone.tail)


@given(followings())
@settings(suppress_health_check=[HealthCheck.too_slow])  # drawn slowly where the machine is busy
def test_what_follows_and_has_the_same_entries_has_won(following: Following) -> None:
    assume(not {*ODD} & {*following.group.session_ids})
    found = next_rows(following.keys, following.stored, following.group)
    for index, (key, before) in enumerate(zip(following.keys, following.stored, strict=True)):
        if is_intact(key, before) and step_of(before) == following.group.steps[index] - 1:
            alone = following.alone(index)
            is_alike = has_same_entries(before, alone) and len(before) == len(alone.head)
            assert (found[index] is not None) == is_alike


@pytest.mark.parametrize("ids", [ODD, [*IDS, *ODD], [*ODD, *IDS]], ids=["odd", "last", "first"])
def test_an_id_that_is_not_as_ids_are_issued_keeps_its_own_name(ids: list[str]) -> None:
    bodies = table(0, len(ids), 70), table(1, len(ids), 9)
    group = SwapGroup(ids, [1] * len(ids), [600] * len(ids), "ann", "echo:1", 6000, *bodies)
    keys = [key_of(session_id) for session_id in ids]
    stored = [
        to_rows(key, group.swap(n).record._replace(step=0, body=bytes(79)), 110).head for n, key in enumerate(keys)
    ]
    found = next_rows(keys, stored, group)
    for n, rows in enumerate(found):
        assert rows is None or rows[:2] == (keys[n], to_rows(keys[n], group.swap(n).record, 110).head)
    assert sum(rows is not None for rows in found) == (len(IDS) if ids[0] == IDS[0] else 0)


def test_names_that_are_too_long_cannot_be_packed() -> None:
    bodies = np.zeros((1, 70), np.uint8), np.zeros((1, 9), np.uint8)
    group = SwapGroup(IDS[:1], [1], [600], "o" * 256, "echo:1", 6000, *bodies)
    with pytest.raises(ValueError, match="cannot be packed"):
        next_rows([key_of(IDS[0])], [b""], group)
