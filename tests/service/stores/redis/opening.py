"""Redis stores for as long as a context lasts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.stores.limits import Limits
from service.stores.redis.store import RedisStore


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, Limits())
    yield store
    await store.close()
