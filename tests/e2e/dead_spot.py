"""A network that drops what is sent without a sign, as a NAT does that has forgotten its connections."""

import contextlib
import socket
import threading

CHUNK = 65536


class DeadSpot:
    """Passes connections on to a port of this machine.

    Whatever connections are open between `begin` and `end` stay open, and nothing arrives on them ever again.
    """

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_dead = threading.Event()
        self._open: list[tuple[socket.socket, socket.socket, threading.Event]] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def begin(self) -> None:
        """Drop everything."""
        self._is_dead.set()
        for *_, is_dead in self._open:
            is_dead.set()

    def end(self) -> None:
        """Pass new connections on again."""
        self._is_dead.clear()

    def serve(self) -> None:
        """Take connections until the listener is shut."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                service = socket.create_connection(("127.0.0.1", self._upstream_port))
                is_dead = threading.Event()
                self._open.append((client, service, is_dead))
                if self._is_dead.is_set():
                    is_dead.set()
                for one, other in ((client, service), (service, client)):
                    threading.Thread(target=_pass_on, args=(one, other, is_dead), daemon=True).start()

    def close(self) -> None:
        """Take no more connections, and end those that are open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client, service, _ in self._open:
            client.close()
            service.close()


def _pass_on(one: socket.socket, other: socket.socket, is_dead: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while content := one.recv(CHUNK):
            if not is_dead.is_set():
                other.sendall(content)
        if not is_dead.is_set():
            other.shutdown(socket.SHUT_WR)
