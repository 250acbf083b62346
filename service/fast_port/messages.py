"""WebSockets on BentoML's port: uvicorn's protocol with the limits of the second port."""

from functools import partial
from typing import Any, cast

from uvicorn.config import WS_PROTOCOLS, Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


def limit_messages(max_message_bytes: int) -> None:
    """Make `LimitedProtocol` uvicorn's default, for the server that BentoML makes for its port."""
    WS_PROTOCOLS["auto"] = cast(Any, partial(LimitedProtocol, max_message_bytes))


class LimitedProtocol(WebSocketsSansIOProtocol):
    """A connection that agrees to no compression: eight megabytes of a message would come as eight kilobytes.

    Args:
        max_message_bytes: Length of the largest message. One of more than twice that ends the connection.
    """

    def __init__(self, max_message_bytes: int, config: Config, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  whatever uvicorn's has
        config.ws_max_size = 2 * max_message_bytes
        config.ws_per_message_deflate = False
        super().__init__(config, *arguments, **more)
