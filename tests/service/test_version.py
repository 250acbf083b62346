"""The version that the service says it has."""

import tomllib
from importlib.metadata import PackageNotFoundError

import pytest

from service import version
from service.version import own_version
from tests.paths import ROOT


def test_it_is_that_of_the_project() -> None:
    assert own_version() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_sources_that_are_not_installed_have_that_of_the_projects_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(package: str) -> str:
        raise PackageNotFoundError(package)

    installed = own_version()
    monkeypatch.setattr(version, "version", not_installed)
    own_version.cache_clear()
    assert own_version() == installed
