"""Reading the first entries of an index that is spread over shards."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.stores.redis.index import first_entries
from service.stores.redis.shard import ALL_SHARDS

pytestmark = pytest.mark.anyio

ENTRIES = st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=2)), max_size=60, unique=True)


class Shards:
    """Shards in memory that keep count of what is read."""

    def __init__(self, entries: dict[int, list[tuple[int, bytes]]]) -> None:
        self._entries = {shard: sorted(those) for shard, those in entries.items()}
        self.num_rounds = 0
        self.num_read = 0

    async def read(self, shards: Sequence[int], size: int) -> list[list[tuple[int, bytes]]]:
        self.num_rounds += 1
        answer = [self._entries.get(shard, [])[:size] for shard in shards]
        self.num_read += sum(map(len, answer))
        return answer


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 255), ENTRIES, max_size=4), st.integers(0, 70))
async def test_the_first_of_all_shards_are_found(entries: dict[int, list[tuple[int, bytes]]], limit: int) -> None:
    every = sorted(entry for those in entries.values() for entry in those)
    assert await first_entries(Shards(entries).read, limit) == every[:limit]


async def test_one_round_is_enough_where_entries_are_spread() -> None:
    shards = Shards({shard: [(n, b"") for n in range(shard, 2560, 256)] for shard in ALL_SHARDS})
    assert await first_entries(shards.read, 300) == [(n, b"") for n in range(300)]
    assert shards.num_rounds == 1


async def test_only_the_shard_that_has_them_is_read_again() -> None:
    shards = Shards({7: [(n, b"") for n in range(1000)], 8: [(5000 + n, b"") for n in range(1000)]})
    assert await first_entries(shards.read, 100) == [(n, b"") for n in range(100)]
    assert shards.num_read < 500
