"""What README and docs name is there: links, and modules by their paths. The log tells of trees that were."""

import re
from pathlib import Path

import pytest

from tests.paths import ROOT

PAGES = [ROOT / "README.md", *sorted(set((ROOT / "docs").glob("*.md")) - {ROOT / "docs/log.md"})]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
PATH = re.compile(r"`((?:bench|deploy|export|loadtest|models|service|tests|training)/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_are_those_of_the_tree(page: Path) -> None:
    assert [path for path in PATH.findall(page.read_text()) if not (ROOT / path).exists()] == []


def test_every_package_of_service_is_in_the_architecture() -> None:
    packages = {found.parent.name for found in (ROOT / "service").glob("*/__init__.py")}
    assert packages_told("## Packages of service/") == packages


def test_every_package_of_training_is_in_the_architecture() -> None:
    packages = {found.parent.name for found in (ROOT / "training").glob("*/__init__.py")} | {"configs"}
    assert packages_told("| package or module of training/ |") == packages


def packages_told(beginning: str) -> set[str]:
    table = (ROOT / "docs/architecture.md").read_text().partition(beginning)[2].partition("\n## ")[0]
    return set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))))
