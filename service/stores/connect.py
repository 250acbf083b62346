"""A store by its URL."""

from urllib.parse import urlsplit

from service.settings import SessionSettings
from service.stores.base import Store
from service.stores.memory import MemoryStore


class StoreUnknown(Exception):
    """No backend answers to that URL."""


def open_store(settings: SessionSettings) -> Store:
    """Open the store that is configured.

    Raises:
        StoreUnknown: The URL's scheme names no backend.
    """
    scheme = urlsplit(settings.store).scheme
    if scheme == "memory":
        return MemoryStore(settings.max_sessions)
    raise StoreUnknown(f"UNROLLED_STORE={settings.store!r}: no store of kind {scheme!r}; there is memory://")
