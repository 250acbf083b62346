"""What both ports do for clients that are odd or hostile, on a real socket."""

import orjson
import pytest
import uvicorn
from uvicorn.config import HTTP_PROTOCOLS

from service.fast_port.guarded import GuardedProtocol, guard_uvicorn
from service.keys import ANONYMOUS
from tests.fakes.port import STEP, Connection, Port
from tests.fakes.process import Process

pytestmark = pytest.mark.anyio

H2C = (
    "connection: Upgrade, HTTP2-Settings",
    "upgrade: h2c",
    "http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
)


def request_of(path: str, body: bytes, *fields: str) -> bytes:
    """A request, as bytes."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}", *fields]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


async def steps_of(connection: Connection, num_steps: int) -> list[int]:
    """The steps that the next answers tell."""
    return [orjson.loads((await connection.answer())[2])["step"] for _ in range(num_steps)]


def test_a_server_that_is_told_no_protocol_has_the_guarded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HTTP_PROTOCOLS, "auto", HTTP_PROTOCOLS["auto"])
    guard_uvicorn()
    config = uvicorn.Config("a:b", log_config=None)
    config.load_app = lambda: None  # type: ignore[method-assign]
    config.load()
    assert config.http_protocol_class is GuardedProtocol


@pytest.mark.parametrize("path", ["/sessions/{}/steps", "/sessions/{}/steps?x=1"])
async def test_a_request_that_would_rather_be_http2_is_answered_with_its_body(
    port: Port, process: Process, path: str
) -> None:
    session_id = await process.create(ANONYMOUS)
    request = request_of(path.format(session_id), orjson.dumps(STEP), *H2C)
    body = request.index(b"\r\n\r\n") + 4
    async with port.connected() as connection:
        await connection.pieces(request)
        await connection.pieces(request[:body], request[body:])
        await connection.pieces(request[: body - 30], request[body - 30 : body + 5], request[body + 5 :])
        assert await steps_of(connection, 3) == [1, 2, 3]
        await connection.pieces(
            request + request, request + request_of(f"/sessions/{session_id}/steps", b"{") + request
        )
        assert await steps_of(connection, 3) == [4, 5, 6]
        assert (await connection.answer())[0] == 400
        assert await steps_of(connection, 1) == [7]


async def test_the_body_of_a_request_that_would_rather_be_http2_is_no_request(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    inner = request_of(f"/sessions/{session_id}/steps", orjson.dumps(STEP))
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)
    outer = request_of("/nothing", inner, *H2C)
    other = request_of("/nothing", b"", *H2C, "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    async with port.connected() as connection:
        await connection.pieces(outer.removesuffix(inner), inner, outer, other, chunked, other + chunked)
        assert [(await connection.answer())[0] for _ in range(4)] == [404] * 4
        await connection.pieces(inner)
        assert await steps_of(connection, 1) == [1]


async def test_a_thousand_upgrades_in_one_packet_are_a_thousand_requests(port: Port) -> None:
    async with port.connected() as connection:
        connection.writer.write(b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" * 1000)
        assert {(await connection.answer())[0] for _ in range(1000)} == {404}


async def test_who_closes_behind_an_ignored_upgrade_is_answered(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        connection.step(session_id, "connection: close, upgrade", "upgrade: h2c")
        assert await steps_of(connection, 1) == [1]
        assert await connection.is_over()


@pytest.mark.parametrize("target", ["localhost:80", "/sessions"])
async def test_no_tunnel_is_begun(port: Port, target: str) -> None:
    async with port.connected() as connection:
        connection.send(target, b"GET / HTTP/1.1\r\n\r\n", method="CONNECT")
        assert (await connection.answer())[0] == 400
        assert await connection.is_over()
