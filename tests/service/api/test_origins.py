"""Which pages may call."""

import os

import pytest

from service.api.origins import Origins
from service.errors import HostNotAllowed, OriginNotAllowed, ServiceError
from service.settings import ServerSettings

HERE = "127.0.0.1:3000"
APP = "https://app.example"
EVIL = "https://evil.example"
NODE = os.uname().nodename
PUBLISHED = ServerSettings(host="192.0.2.7", allow_unauthenticated="local")  # on this machine alone


def refusal(server: ServerSettings, needs_key: bool = False, **fields: str) -> ServiceError | None:
    """Why a request with these fields is refused; underscores stand for hyphens."""
    named = {name.replace("_", "-").encode(): value.encode() for name, value in fields.items()}
    return Origins(server, needs_key).refusal(named)


def is_plain(server: ServerSettings, **fields: str) -> bool:
    """Whether a step with these fields may go past the application."""
    return Origins(server, False).is_plain([(name.encode(), value.encode()) for name, value in fields.items()])


@pytest.fixture
def server() -> ServerSettings:
    """A service on loopback that pages of one other origin may call."""
    return ServerSettings(allowed_origins=APP)


@pytest.mark.parametrize("host", [HERE, "localhost:3001", "", ":3000", "localhost", "127.0.0.1:8080", "[::1]:9999"])
def test_who_is_no_page_may_call(server: ServerSettings, host: str) -> None:
    assert refusal(server, host=host) is None


@pytest.mark.parametrize(
    "origin", [APP, f"http://{HERE}", "http://localhost:3000", "http://localhost:3001", "http://[::1]:3001"]
)
def test_pages_that_are_listed_and_those_of_either_port_may_call(server: ServerSettings, origin: str) -> None:
    assert refusal(server, host=HERE, origin=origin) is None


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "", "http://localhost:8000", "http://localhost", f"http://{HERE}.evil.example", "file://"]
)
def test_other_pages_may_not_call(server: ServerSettings, origin: str) -> None:
    assert isinstance(refusal(server, host=HERE, origin=origin), OriginNotAllowed)


@pytest.mark.parametrize(
    ("origin", "fields"),
    [
        ("https://app.example", {"host": "app.example"}),
        ("https://app.example", {"host": "app.example:443"}),
        ("http://app.example", {"host": "App.example:80"}),
        ("http://app.example:8080", {"host": "app.example:8080"}),
        ("http://localhost:8080", {"host": "localhost:8080"}),
        ("https://unrolled.example", {"host": HERE, "x_forwarded_host": "unrolled.example, inner.example"}),
        ("https://unrolled.example", {"host": HERE, "x_forwarded_host": "unrolled.example:443"}),
        ("https://unrolled.example", {"host": HERE, "sec_fetch_site": "same-origin"}),
    ],
)
def test_a_proxys_pages_may_call_through_it(server: ServerSettings, origin: str, fields: dict[str, str]) -> None:
    assert refusal(server, origin=origin, **fields) is None


@pytest.mark.parametrize("site", ["same-site", "cross-site", "none"])
def test_a_page_is_not_of_the_service_because_it_is_near(server: ServerSettings, site: str) -> None:
    assert refusal(server, host=HERE, origin="http://localhost:8000", sec_fetch_site=site) is not None


@pytest.mark.parametrize("server", [ServerSettings(), PUBLISHED])
@pytest.mark.parametrize(
    "host",
    ["evil.example:3000", "EVIL.example:3001", "evil.example:9999", "evil.example", "evil.example.", "evil:port"],
)
def test_a_name_that_was_made_to_resolve_to_this_machine_is_refused(server: ServerSettings, host: str) -> None:
    assert isinstance(refusal(server, host=host), HostNotAllowed)
    assert isinstance(refusal(server, host=host, origin=f"http://{host}"), HostNotAllowed)
    assert refusal(server, needs_key=True, host=host) is None


@pytest.mark.parametrize(
    "host", ["10.0.0.1:3000", "[fe80::1]:3000", "a.localhost:3000", f"{NODE}:3000", "app.example:3000", "[bad"]
)
def test_an_address_or_a_name_of_this_machine_is_not_refused(server: ServerSettings, host: str) -> None:
    assert refusal(server, host=host) is None


def test_what_prometheus_asks_for_in_a_network_of_containers_is_listed() -> None:
    server = PUBLISHED.model_copy(update={"allowed_origins": "http://unrolled:3000"})
    assert refusal(server, host="unrolled:3000") is None
    assert isinstance(refusal(server, host="redis:3000"), HostNotAllowed)


def test_a_page_of_port_80_names_none() -> None:
    assert refusal(ServerSettings(port=80), host="localhost", origin="http://127.0.0.1") is None


def test_where_the_network_is_trusted_any_name_will_do() -> None:
    server = ServerSettings(host="192.0.2.7", allow_unauthenticated=True)
    assert refusal(server, host="unrolled:3000", origin="http://unrolled:3000") is None
    assert refusal(server, host="unrolled:3000", origin=EVIL) is not None


def test_where_any_page_may_call_none_is_refused() -> None:
    server = ServerSettings(allowed_origins="*")
    assert refusal(server, host="evil.example:3000", origin="null") is None


def test_where_a_key_is_needed_it_decides(server: ServerSettings) -> None:
    assert refusal(server, needs_key=True, host="evil.example:3000", origin=EVIL) is None
    preflight = {"host": HERE, "access_control_request_method": "POST"}
    assert refusal(server, needs_key=True, origin=APP, **preflight) is None
    assert isinstance(refusal(server, needs_key=True, origin=EVIL, **preflight), OriginNotAllowed)


def test_a_step_is_plain_unless_it_is_refused_or_a_page_elsewhere_waits_for_it(server: ServerSettings) -> None:
    assert is_plain(server, host=HERE)
    assert is_plain(server, host=HERE, origin=f"http://{HERE}")
    assert not is_plain(server, host=HERE, origin=APP)
    assert not is_plain(server, host=HERE, origin=EVIL)
    assert not is_plain(server, host="evil.example:3000")
