"""Labels of the request metrics."""

import pytest

from service.api.measure import endpoint_of
from service.api.openapi import OPERATIONS


@pytest.mark.parametrize("path", sorted({operation.path for operation in OPERATIONS}))
def test_every_documented_path_has_a_label_of_its_own(path: str) -> None:
    assert endpoint_of(path.replace("{session_id}", "a1-_b2")) == path.replace("{session_id}", "{id}")


@pytest.mark.parametrize("path", ["/nothing", "/sessions/a/b", "/sessions/a/steps/b", "/sentiment/"])
def test_paths_that_are_not_served_share_one_label(path: str) -> None:
    assert endpoint_of(path) == "other"
