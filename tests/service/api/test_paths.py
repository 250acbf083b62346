"""Which endpoint a path is of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.endpoints import ENDPOINTS
from service.api.paths import first_segment, label_of, match_path

LABELS = {endpoint.label for endpoint in ENDPOINTS}


@pytest.mark.parametrize("path", sorted({endpoint.path for endpoint in ENDPOINTS}))
def test_every_path_has_a_label_of_its_own(path: str) -> None:
    asked = path.replace("{session_id}", "a1-_b2").replace("{name}", "steps").replace("{version}", "0")
    assert label_of(asked) == path.replace("{session_id}", "{id}")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/sessions/", "/sessions/a/b", "/sessions/a/b/steps", "/sessions//steps", "/sentiment/", "/uix"],
)
def test_paths_that_are_not_served_share_one_label(path: str) -> None:
    assert match_path(path) == ("other", ())


PARTS = st.sampled_from(
    [
        "sessions",
        "steps",
        "checkpoints",
        "v2",
        "repository",
        "models",
        "load",
        "versions",
        "infer",
        "",
        "import",
        "ab-_",
    ]
)


@given(st.lists(PARTS | st.text(max_size=5), max_size=6).map(lambda parts: "/" + "/".join(parts)))
def test_whatever_is_asked_for_labels_stay_few(path: str) -> None:
    assert label_of(path) in LABELS | {"other"}


def test_paths_with_ids_share_the_label_of_their_kind_and_tell_the_ids() -> None:
    assert match_path("/sessions/x/steps") == ("/sessions/{id}/steps", ("x",))
    assert match_path("/sessions/x/checkpoints/y") == ("/sessions/{id}/checkpoints/{name}", ("x", "y"))
    assert match_path("/v2/repository/models/sum/load") == ("/v2/repository/models/{name}/load", ("sum",))
    assert match_path("/v2/models/sum/infer") == ("/v2/models/{name}/infer", ("sum",))
    assert match_path("/v2/models/sum/versions/0/infer") == ("/v2/models/{name}/versions/{version}/infer", ("sum", "0"))


def test_a_path_without_ids_is_not_taken_for_one_with_them() -> None:
    assert match_path("/sessions/import") == ("/sessions/import", ())
    assert match_path("/sessions/import/steps") == ("/sessions/{id}/steps", ("import",))


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("/", "/"),
        ("/v1", "/v1"),
        ("/v1/", "/v1"),
        ("/v1x/y", "/v1x"),
        ("//v1", "/"),
        ("*", "*"),
        ("", ""),
        ("v1/x", "v1"),
    ],
)
def test_a_root_ends_with_the_first_segment(path: str, first: str) -> None:
    assert first_segment(path) == first
