"""Authentication: a bearer token becomes the owner of a request or a connection, for every surface and both ports.

A token is looked up on each request. That takes less than two microseconds, so there is no cache of tokens to keep
secret and up to date.
"""

from collections.abc import Iterable
from functools import partial

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.endpoints import PUBLIC_PATHS
from service.api.headers import header
from service.api.paths import label_of
from service.api.refusal_forms import refusal_response
from service.api.stream.handshake import POLICY_VIOLATION, accept_and_close, refuse
from service.errors import Malformed, Unauthenticated
from service.keys.key_file import Key
from service.keys.keys import ANONYMOUS, Keys
from service.metrics import RequestTally

SUBPROTOCOL = "unrolled"
CHALLENGE = 'Bearer realm="unrolled"'
INVALID_KEY = "the API key is not valid, or no longer"
NO_KEY_OFFERED = "an API key is needed: offer the subprotocols unrolled and bearer.unr_..."
_OWNER = "unrolled.owner"
_IS_KEY_VALID = "unrolled.is_key_valid"
_BEARER_SUBPROTOCOL = "bearer."
KEY_REMOVED: Message = {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "the API key was removed"}


def owner_of(scope: Scope) -> str:
    """The owner of a request.

    Raises:
        KeyError: The request did not pass AuthMiddleware.
    """
    owner: str = scope[_OWNER]
    return owner


def known_owner(scope: Scope) -> str:
    """Return the owner of a request: ANONYMOUS until it has passed AuthMiddleware."""
    owner: str = scope.get(_OWNER, ANONYMOUS)
    return owner


def subprotocol_of(scope: Scope) -> str | None:
    """Return the subprotocol to accept a WebSocket with. A browser that offers any gives up if none is accepted."""
    return SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None


def is_key_valid(scope: Scope) -> bool:
    """Whether a connection's key is still valid. Needed where messages bypass AuthMiddleware, or wait behind it."""
    is_valid: bool = _IS_KEY_VALID not in scope or scope[_IS_KEY_VALID]()
    return is_valid


class AuthMiddleware:
    """Lets callers with a valid key in, under their owner's name. Without keys, everyone is one owner."""

    def __init__(self, app: ASGIApp, keys: Keys | None, tally: RequestTally) -> None:
        self._app = app
        self._keys = keys
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        keys = self._keys
        kind = scope["type"]
        if keys is None:
            scope[_OWNER] = ANONYMOUS
        elif kind == "http":
            token = bearer_token(scope["headers"])
            key = keys.find(token)
            if key is not None:
                scope[_OWNER] = key.owner
            elif (endpoint := label_of(scope["path"])) not in PUBLIC_PATHS:
                self._tally.add(endpoint, Unauthenticated.status, 0.0)
                await _refusal(token, scope["path"])(scope, receive, send)
                return
        elif kind == "websocket":
            await self._connect(keys, scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _connect(self, keys: Keys, scope: Scope, receive: Receive, send: Send) -> None:
        offered = scope.get("subprotocols", ())
        offered_tokens = [name for name in offered if name.startswith(_BEARER_SUBPROTOCOL)]
        token = bearer_token(scope["headers"])
        if offered_tokens and SUBPROTOCOL not in offered and not token:
            error = Malformed(f"offer the subprotocol {SUBPROTOCOL} too: the one with the key is never accepted")
            self._tally.add(label_of(scope["path"]), error.status, 0.0)
            await refuse(refusal_response(scope["path"], error), str(error), scope, receive, send)
            return
        token = token or _token_in(offered_tokens)
        key = keys.find(token)
        if key is None:
            self._tally.add(label_of(scope["path"]), Unauthenticated.status, 0.0)
            if SUBPROTOCOL in offered:
                reason = INVALID_KEY if token else NO_KEY_OFFERED
                await accept_and_close(SUBPROTOCOL, POLICY_VIOLATION, reason, receive, send)
            else:
                await refuse(_refusal(token, scope["path"]), "an API key is needed", scope, receive, send)
            return
        scope[_OWNER] = key.owner
        scope["subprotocols"] = [name for name in offered if name not in offered_tokens]
        scope[_IS_KEY_VALID] = partial(keys.is_valid, key)
        connection = _Revocable(keys, key, receive, send)
        await self._app(scope, connection.receive, connection.send)


class _Revocable:
    """A WebSocket connection that ends when its key is removed: no later message is served."""

    def __init__(self, keys: Keys, key: Key, receive: Receive, send: Send) -> None:
        self._keys = keys
        self._key = key
        self._receive = receive
        self._send = send
        self._is_revoked = False

    async def receive(self) -> Message:
        """Return the next message, or the end of the connection."""
        message = await self._receive()
        if message["type"] != "websocket.receive" or self._keys.is_valid(self._key):
            return message
        await self.send(KEY_REMOVED)
        self._is_revoked = True
        return {**KEY_REMOVED, "type": "websocket.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a message unless the connection has ended."""
        if not self._is_revoked:
            await self._send(message)


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the token of a request's Authorization header, empty if there is none."""
    value = header(headers, b"authorization")
    return value[7:].strip() if value[:7].lower() == b"bearer " else b""


def _token_in(offered_tokens: list[str]) -> bytes:
    """Return the token that a browser offers as a subprotocol, since it cannot set a WebSocket's headers."""
    return "".join(offered_tokens[:1]).removeprefix(_BEARER_SUBPROTOCOL).encode()


def _refusal(token: bytes, path: str) -> Response:
    if token:
        response = refusal_response(path, Unauthenticated(INVALID_KEY))
        response.headers["WWW-Authenticate"] = f'{CHALLENGE}, error="invalid_token"'
    else:
        response = refusal_response(path, Unauthenticated("an API key is needed: Authorization: Bearer unr_..."))
        response.headers["WWW-Authenticate"] = CHALLENGE
    return response
