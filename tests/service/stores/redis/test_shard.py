"""Shards of keys."""

from service.stores.redis.shard import encoded, record_key, shard_of, shard_of_key


def test_the_shard_of_a_key_is_that_of_its_id() -> None:
    for name in ("", "a", "b~c", "ü", "\ud800", "{7f}"):
        key = record_key(encoded(name))
        assert shard_of_key(key) == shard_of(encoded(name))
        assert key.endswith(b"}:s:" + encoded(name))
