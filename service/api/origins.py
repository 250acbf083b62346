"""Decides which web pages may call the service, from header fields only.

If no key is needed, any page that is open in a browser on this machine can reach a service that listens on loopback.
The browser names the page's origin in `Origin`, except in GET and HEAD requests whose answers the page cannot read. If
a key is needed, the key decides: a browser does not send one by itself.

A page's own name may resolve to this machine (DNS rebinding), which makes the service part of the page's origin. Such a
page is recognised by the name in `Host`, because a browser sends no `Origin` in its GET requests. The port says
nothing: it may be that of a published port or a tunnel.
"""

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from service.errors import HostNotAllowed, OriginNotAllowed, ServiceError
from service.settings import ANY_ORIGIN, ServerSettings

ORIGIN = b"origin"
_HOST, _FORWARDED_HOST, _FETCH_SITE = b"host", b"x-forwarded-host", b"sec-fetch-site"
_PREFLIGHT = b"access-control-request-method"
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_HTTP_PORT = 80
MAX_HOSTS = 64  # whose check is cached

Fields = Mapping[bytes, bytes]


class Origins:
    """Decides which pages may call.

    Args:
        server: Where the service listens, and which origins may call besides its own.
        needs_key: Whether callers need an API key.

    Attributes:
        listed: The origins whose pages may read answers: those in the settings, and this machine's on either port.
    """

    def __init__(self, server: ServerSettings, needs_key: bool) -> None:
        ports = filter(None, (server.port, server.fast_port))
        local = {_origin(name, port) for port in ports for name in _LOCAL}
        self.listed = server.origins | local
        self._is_any = ANY_ORIGIN in server.origins
        self._needs_key = needs_key
        self._checks_host = server.is_local and not needs_key and not self._is_any
        names = {urlsplit(origin).hostname for origin in server.origins}
        self._names = names | {"localhost", os.uname().nodename.lower()}
        self._may_be_rebound = lru_cache(MAX_HOSTS)(self._is_somebody_elses)

    def refusal(self, fields: Fields) -> ServiceError | None:
        """Return why a request is refused, or None if it is not.

        Args:
            fields: Header fields of the request, by name in lower case.
        """
        host = fields.get(_HOST, b"")
        if self._checks_host and self._may_be_rebound(host):
            return HostNotAllowed(
                f"{host.decode('latin-1')} is no name of this service: where it is, list its origin in "
                "UNROLLED_ALLOWED_ORIGINS"
            )
        origin = fields.get(ORIGIN)
        if origin is None or self._is_any or (self._needs_key and _PREFLIGHT not in fields):
            return None
        if origin.decode("latin-1") in self.listed or _is_same_origin(fields):
            return None
        return OriginNotAllowed(
            f"pages of {origin.decode('latin-1')} may not call: where they should, list it in UNROLLED_ALLOWED_ORIGINS"
        )

    def is_plain(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request is allowed and its answer needs no CORS headers."""
        fields = dict(headers)
        return self.refusal(fields) is None and (ORIGIN not in fields or _is_same_origin(fields))

    def _is_somebody_elses(self, host: bytes) -> bool:
        """Whether this `Host` is a name that somebody else may point to this machine. An IP address is not."""
        try:
            name = urlsplit(f"//{host.decode('latin-1')}").hostname
        except ValueError:  # no browser sends it
            return False
        if name is None or name in self._names or name.endswith(".localhost"):
            return False
        try:
            ip_address(name)
        except ValueError:
            return True
        return False


def _origin(name: str, port: int) -> str:
    return f"http://{name}" if port == _HTTP_PORT else f"http://{name}:{port}"


def _is_same_origin(fields: Fields) -> bool:
    """Whether a page's request goes to the page's own origin, perhaps through a proxy.

    No page can set `Sec-Fetch-Site`, and a page of another origin can set `X-Forwarded-Host` only if a preflight allows
    it. The scheme is not compared, since a proxy may terminate TLS.
    """
    if fields.get(_FETCH_SITE) == b"same-origin":
        return True
    scheme, _, host = fields[ORIGIN].partition(b"://")
    default_port = b":443" if scheme == b"https" else b":80"
    forwarded = fields.get(_FORWARDED_HOST, b"").partition(b",")[0].strip()
    asked = (fields.get(_HOST, b""), forwarded)
    return host != b"" and any(host == each.lower().removesuffix(default_port) for each in asked)
