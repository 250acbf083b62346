"""Settings from the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import BundleSettings, ServerSettings, SettingUnknown, known_variables, refuse_unknown_variables

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_a_misspelt_setting_is_an_error_that_names_it() -> None:
    with pytest.raises(SettingUnknown, match="UNROLLED_PROT"):
        refuse_unknown_variables({"UNROLLED_PROT": "3000", "PATH": "/bin"})


def test_known_settings_and_foreign_variables_pass() -> None:
    refuse_unknown_variables(dict.fromkeys([*known_variables(), "HOME"], "x"))


def test_a_value_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_PORT", "70000")
    with pytest.raises(ValidationError, match="less than or equal to 65535"):
        ServerSettings()


def test_tags_are_parted_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_BUNDLES", "sentiment:latest, generation:1f")
    assert BundleSettings().tags == ("sentiment:latest", "generation:1f")


@pytest.mark.parametrize("variable", sorted(known_variables()))
def test_every_setting_has_a_row_in_the_document(variable: str) -> None:
    assert f"| `{variable}` |" in DOCUMENT.read_text()
