"""HTTP on both ports: uvicorn's protocol, and what it lacks against clients that are odd or hostile.

Knows connections and where requests begin and end, not what is asked.
"""

import httptools
from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_NOT_HTTP = "Invalid HTTP request received."


def guard_uvicorn() -> None:
    """Have uvicorn take this protocol where it is told none: the server of BentoML's port is made by BentoML."""
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{GuardedProtocol.__qualname__}"


class GuardedProtocol(HttpToolsProtocol):
    """A connection.

    A request may ask for an upgrade to another protocol (`Upgrade: h2c`, which Java's client and curl's `--http2` send
    with every first request). httptools reads no body of it and takes what follows for the next request, so that the
    body is lost, or served. Here such a request is read once more without that field, which a server may ignore
    (RFC 9110, section 7.8). Only WebSockets are upgraded to.
    """

    def data_received(self, data: bytes) -> None:
        """Overrides uvicorn: read on behind an upgrade that is ignored, because its request is a plain one."""
        self._unset_keepalive_if_required()
        try:
            self._read(data)
        except httptools.HttpParserError:
            self.logger.warning(_NOT_HTTP)
            self.send_400_response(_NOT_HTTP)

    def on_headers_complete(self) -> None:
        """Overrides uvicorn: ask nothing yet where an upgrade is ignored, because the head is read once more."""
        if not self.parser.should_upgrade() or self._should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Overrides uvicorn: end no request where an upgrade was in the head, because none was begun."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _read(self, data: bytes | memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                data = memoryview(data)[upgrade.args[0] :]
            self._read_without_upgrade()

    def _read_without_upgrade(self) -> None:
        """Read the head again that asked for an upgrade, by a parser that waits for its body."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise httptools.HttpParserError("no tunnel is begun here")
        fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version.encode(), b"".join(fields))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.parser.feed_data(head)
