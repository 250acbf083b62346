"""The declarations."""

from service.api import endpoints
from service.api.endpoint import Endpoint
from service.api.endpoints import ENDPOINTS, PUBLIC_PATHS


def test_none_that_is_declared_is_left_out() -> None:
    assert list(ENDPOINTS) == [each for each in vars(endpoints).values() if isinstance(each, Endpoint)]


def test_a_declaration_is_called_as_its_operation_is() -> None:
    for name, each in vars(endpoints).items():
        if isinstance(each, Endpoint) and each.name:
            assert name == each.name.upper()


def test_nothing_is_declared_twice() -> None:
    assert len({(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}) == len(ENDPOINTS)
    assert len({endpoint.label for endpoint in ENDPOINTS}) == len({endpoint.path for endpoint in ENDPOINTS})


def test_nothing_but_probes_and_pages_is_open_to_all() -> None:
    probes = {"/livez", "/readyz", "/healthz", "/v2/health/live", "/v2/health/ready"}
    assert probes | {"/ui", "/", "/static_content", "/docs.json"} == PUBLIC_PATHS


def test_what_is_in_the_document_has_a_summary() -> None:
    assert all(bool(endpoint.summary) is (endpoint.tag is not None) for endpoint in ENDPOINTS)
