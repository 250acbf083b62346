"""Settings from the environment."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from service.process.preflight import CannotStart, checked_settings
from service.settings import (
    CONSUMERS,
    OTHER_CONSUMERS,
    PREFIX,
    BundleSettings,
    ExportSettings,
    ServerSettings,
    Settings,
    SettingUnknown,
    known_variables,
    refuse_unknown_variables,
)

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


def test_the_second_port_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_PORT", "3001")
    with pytest.raises(ValidationError, match="UNROLLED_FAST_PORT is UNROLLED_PORT"):
        ServerSettings()
    monkeypatch.setenv("UNROLLED_FAST_PORT", "0")
    assert ServerSettings().port == 3001


def test_tags_are_parted_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_BUNDLES", "sentiment:latest, generation:1f")
    assert BundleSettings().tags == ("sentiment:latest", "generation:1f")


def test_origins_are_parted_by_commas_and_written_as_browsers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_ALLOWED_ORIGINS", "https://App.example:443, http://a.b:8000,chrome-extension://ab")
    assert ServerSettings().origins == {"https://app.example", "http://a.b:8000", "chrome-extension://ab"}


@pytest.mark.parametrize("value", ["app.example", "https://app.example/", "https://*.example", "null", "https://"])
def test_what_no_browser_sends_as_an_origin_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("UNROLLED_ALLOWED_ORIGINS", f"https://a.b, {value}")
    with pytest.raises(ValidationError, match="is no origin"):
        ServerSettings()


def test_what_a_process_is_told_does_not_change_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_PORT", "4000")
    settings = Settings()
    monkeypatch.setenv("UNROLLED_PORT", "5000")
    assert settings.server.port == 4000
    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 5000


def test_prepared_graphs_are_kept_where_one_says_or_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert BundleSettings(prepared_graphs="").prepared_graphs_directory == Path("/cache/unrolled/graphs")
    assert BundleSettings(prepared_graphs="/graphs").prepared_graphs_directory == Path("/graphs")
    assert BundleSettings(prepared_graphs="none").prepared_graphs_directory is None
    assert BundleSettings(prepared_graphs="/graphs", provider="cuda").prepared_graphs_directory is None
    with pytest.raises(ValidationError, match="is no absolute path"):
        BundleSettings(prepared_graphs="graphs")


def test_who_has_no_home_keeps_no_prepared_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert BundleSettings(prepared_graphs="").prepared_graphs_directory is None


def test_a_short_export_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_EXPORT_KEY", "hunter2")
    with pytest.raises(ValidationError, match="fewer than 32 characters") as refusal:
        ExportSettings()
    assert "hunter2" not in str(refusal.value)
    with pytest.raises(CannotStart, match=r"^UNROLLED_EXPORT_KEY: fewer than 32 characters$"):
        checked_settings()


def test_an_export_key_signs_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_EXPORT_KEY", "k" * 32)
    settings = ExportSettings()
    assert settings.signing_key == b"k" * 32
    assert "kkkk" not in repr(settings)


def test_the_document_has_a_row_for_every_setting_with_its_default_and_no_other() -> None:
    _, _, *rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    told = [tuple(row.strip("| ").split(" | ")[:2]) for row in rows]
    fields = {f"{PREFIX}{name.upper()}": field for model in CONSUMERS for name, field in model.model_fields.items()}
    defaults = {name: _as_told(field.default) for name, field in fields.items()} | dict.fromkeys(
        OTHER_CONSUMERS, "empty"
    )
    assert dict(told) == {f"`{name}`": default for name, default in defaults.items()}
    assert len(told) == len(defaults)


def _as_told(default: object) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    is_whole = isinstance(default, bool) or (isinstance(default, float) and default.is_integer())
    return f"`{int(default) if is_whole else default}`" if default != "" else "empty"
