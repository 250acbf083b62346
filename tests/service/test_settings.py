"""Settings from the environment."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from service.preflight import CannotStart, checked_settings
from service.record.blob import seal, unseal
from service.settings import (
    CONSUMERS,
    MAX_SECONDS,
    MAX_STORE_BYTES,
    MIN_STORE_BYTES,
    OTHER_CONSUMERS,
    PREFIX,
    BundleSettings,
    ExportSettings,
    KeySettings,
    ServerSettings,
    SessionSettings,
    Settings,
    SettingUnknown,
    known_variables,
    refuse_unknown_variables,
)
from service.stores.lmdb.store import MAP_BYTES
from tests.paths import DOCS

PUBLIC = "192.0.2.7"
DOCUMENT = DOCS / "settings.md"


def test_a_misspelt_setting_is_an_error_that_names_it() -> None:
    with pytest.raises(SettingUnknown, match=r"unknown settings UNROLLED_PROT \(did you mean UNROLLED_PORT\?\)"):
        refuse_unknown_variables({"UNROLLED_PROT": "3000", "PATH": "/bin"})


@pytest.mark.parametrize("name", ["UNROLLED_XYZ", "UNROLLED_FOO", "UNROLLED_BATCHING", "UNROLLED_"])
def test_a_setting_that_is_like_no_other_has_no_suggestion(name: str) -> None:
    with pytest.raises(SettingUnknown, match=f"^unknown settings {name}; docs"):
        refuse_unknown_variables({name: "1"})


def test_known_settings_and_foreign_variables_pass() -> None:
    refuse_unknown_variables(dict.fromkeys([*known_variables(), "HOME"], "x"))


def test_a_value_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_PORT", "70000")
    with pytest.raises(ValidationError, match="less than or equal to 65535"):
        ServerSettings()


@pytest.mark.parametrize("host", ["", "127.0.0.1:3000", "example.org", "[::1]", "0.0.0"])
def test_what_is_no_address_cannot_be_listened_on(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("UNROLLED_HOST", host)
    with pytest.raises(CannotStart) as refusal:
        checked_settings()
    assert str(refusal.value) == f"UNROLLED_HOST: {host!r} is neither an IP address nor 'localhost'"


def test_localhost_is_the_address_that_browsers_and_containers_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_HOST", "localhost")
    server = ServerSettings()
    assert (server.host, server.is_loopback) == ("127.0.0.1", True)
    assert ServerSettings(host="::1").is_loopback
    assert not ServerSettings(host="::").is_loopback


@pytest.mark.parametrize(("value", "taken"), [("0", False), ("1", True), ("true", True), ("local", "local")])
def test_anybody_may_call_nobody_or_this_machine(
    monkeypatch: pytest.MonkeyPatch, value: str, taken: bool | str
) -> None:
    monkeypatch.setenv("UNROLLED_HOST", PUBLIC)
    monkeypatch.setenv("UNROLLED_ALLOW_UNAUTHENTICATED", value)
    server = ServerSettings()
    assert (server.allow_unauthenticated, server.is_local) == (taken, taken == "local")


def test_who_may_call_is_told_in_three_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_ALLOW_UNAUTHENTICATED", "locally")
    with pytest.raises(CannotStart) as refusal:
        checked_settings()
    assert str(refusal.value) == "UNROLLED_ALLOW_UNAUTHENTICATED: 'locally' is not 0, 1 or local"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("UNROLLED_DRAIN_SECONDS", "3600.1"),
        ("UNROLLED_DRAIN_SECONDS", "-1"),
        ("UNROLLED_REQUEST_TIMEOUT_SECONDS", "1e-9"),
        ("UNROLLED_REQUEST_TIMEOUT_SECONDS", "1e9"),
        ("UNROLLED_MAX_WAIT_SECONDS", "1.1"),
        ("UNROLLED_MAX_STORE_BYTES", str(MIN_STORE_BYTES - 1)),
    ],
)
def test_what_no_service_could_work_with_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(CannotStart, match=rf"^{variable}: Input should be (greater|less) than or equal to [\d.]+$"):
        checked_settings()


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_every_time_is_finite(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    fields = {name: field for model in CONSUMERS for name, field in model.model_fields.items()}
    times = [f"{PREFIX}{name.upper()}" for name, field in fields.items() if field.annotation is float]
    assert len(times) > 1
    for time in times:
        with monkeypatch.context() as environment:
            environment.setenv(time, value)
            with pytest.raises(CannotStart, match=f"^{time}: Input should be a finite number$"):
                checked_settings()


@pytest.mark.parametrize(
    ("api_keys", "admins", "expected"),
    [("", "", None), ("keys.txt", "", set()), ("keys.txt", "ada, bo", {"ada", "bo"}), ("", "ada", {"ada"})],
)
def test_nobody_is_an_admin_by_default_where_callers_are_told_apart(
    api_keys: str, admins: str, expected: set[str] | None
) -> None:
    assert KeySettings(api_keys=api_keys, admins=admins).admin_owners == expected


def test_an_lmdb_store_may_not_be_given_more_than_its_map() -> None:
    assert MAX_STORE_BYTES == MAP_BYTES
    assert SessionSettings(max_store_bytes=MAX_STORE_BYTES)
    assert SessionSettings(store="redis://127.0.0.1", max_store_bytes=MAX_STORE_BYTES + 1)
    with pytest.raises(ValidationError, match="UNROLLED_MAX_STORE_BYTES exceeds 1099511627776"):
        SessionSettings(max_store_bytes=MAX_STORE_BYTES + 1)


def test_the_second_port_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_PORT", "3001")
    with pytest.raises(ValidationError, match="UNROLLED_FAST_PORT equals UNROLLED_PORT"):
        ServerSettings()
    monkeypatch.setenv("UNROLLED_FAST_PORT", "0")
    assert ServerSettings().port == 3001


def test_tags_are_parted_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_BUNDLES", "sentiment:latest, generation:1f")
    assert BundleSettings().tags == ("sentiment:latest", "generation:1f")


@pytest.mark.parametrize("tag", ["bad tag!", "sentiment latest", "sentiment:", ":latest", "a:b:c", "-a", "a" * 64])
def test_what_is_no_tag_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    monkeypatch.setenv("UNROLLED_BUNDLES", f"forecasting:latest, {tag}")
    with pytest.raises(CannotStart) as refusal:
        checked_settings()
    assert str(refusal.value).startswith(f"UNROLLED_BUNDLES: {tag!r} is not a tag: name:version or name:latest")


def test_origins_are_parted_by_commas_and_written_as_browsers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_ALLOWED_ORIGINS", "https://App.example:443, http://a.b:8000,chrome-extension://ab")
    assert ServerSettings().origins == {"https://app.example", "http://a.b:8000", "chrome-extension://ab"}


@pytest.mark.parametrize("value", ["app.example", "https://app.example/", "https://*.example", "null", "https://"])
def test_what_no_browser_sends_as_an_origin_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("UNROLLED_ALLOWED_ORIGINS", f"https://a.b, {value}")
    with pytest.raises(ValidationError, match="is not an origin"):
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
    with pytest.raises(ValidationError, match="is neither an absolute path"):
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


@pytest.mark.parametrize("key", [" " * 34, f"{'k' * 31}   ", "  \n"])
def test_blanks_around_an_export_key_do_not_make_it_long(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("UNROLLED_EXPORT_KEY", key)
    with pytest.raises(ValidationError, match="fewer than 32 characters"):
        ExportSettings()


def test_former_export_keys_are_listed_and_none_may_be_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_FORMER_EXPORT_KEYS", f"{'a' * 32}, {'b' * 40},")
    assert {b"a" * 32, b"b" * 40} <= set(ExportSettings().former_keys)
    assert {key.strip() for key in ExportSettings().former_keys} == {b"a" * 32, b"b" * 40}
    monkeypatch.setenv("UNROLLED_FORMER_EXPORT_KEYS", f"{'a' * 32},hunter2")
    with pytest.raises(ValidationError, match="a key has fewer than 32 characters") as refusal:
        ExportSettings()
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("signed", ["{}", "{}\n", " {}", "{}\r\n"])
@pytest.mark.parametrize("listed", ["{}", "{},{other}", "{other},{}", "{other}\n,{},"])
def test_an_export_key_with_blanks_around_it_can_become_a_former_one(
    monkeypatch: pytest.MonkeyPatch, signed: str, listed: str
) -> None:
    key = signed.format("k" * 32)
    monkeypatch.setenv("UNROLLED_EXPORT_KEY", key)
    sealed = seal(ExportSettings().signing_key, b"state", "sum:0")
    monkeypatch.setenv("UNROLLED_EXPORT_KEY", "n" * 32)
    monkeypatch.setenv("UNROLLED_FORMER_EXPORT_KEYS", listed.format(key, other="o" * 32))
    settings = ExportSettings()
    assert unseal(settings.signing_key, sealed, settings.former_keys) == b"state"


@pytest.mark.parametrize("signed", [b"k" * 32, b"k" * 32 + b"\n"])
@pytest.mark.parametrize("listed", ["{}", "{}\n", "{other}, {}", "{other}, {}\n", "{},\n{other}"])
def test_a_former_export_key_may_lose_the_newline_of_its_file_in_a_list_or_be_given_one(
    signed: bytes, listed: str
) -> None:
    sealed = seal(signed, b"state", "sum:0")
    former = ExportSettings(former_export_keys=SecretStr(listed.format("k" * 32, other="o" * 32))).former_keys
    assert unseal(b"n" * 32, sealed, former) == b"state"


def test_there_may_be_a_few_former_export_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [letter * 32 for letter in "abcde"]
    monkeypatch.setenv("UNROLLED_FORMER_EXPORT_KEYS", ",".join(keys[:4]))
    assert ExportSettings().former_keys
    monkeypatch.setenv("UNROLLED_FORMER_EXPORT_KEYS", ",".join(keys))
    with pytest.raises(CannotStart) as refusal:
        checked_settings()
    assert str(refusal.value) == "UNROLLED_FORMER_EXPORT_KEYS: 5 keys; at most 4 are checked: drop the oldest"


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


def test_every_bound_is_told() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| \S+ \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE))
    bounds = {
        f"{PREFIX}{name.upper()}": {bound for each in field.metadata for bound in _bounds(each)}
        for model in CONSUMERS
        for name, field in model.model_fields.items()
    }
    untold = {
        (name, bound)
        for name, each in bounds.items()
        for bound in each - {0, 1, MAX_SECONDS}
        if not re.search(rf"(?<![\d.]){bound}(?![\d.]*\d)", rows[name])
    }
    assert {f"{PREFIX}WORKERS", f"{PREFIX}MAX_BODY_BYTES"} <= {name for name, each in bounds.items() if each}
    assert untold == set()


def _bounds(constraint: object) -> set[float]:
    return {getattr(constraint, kind) for kind in ("ge", "le") if hasattr(constraint, kind)}


def _as_told(default: object) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    is_whole = isinstance(default, bool) or (isinstance(default, float) and default.is_integer())
    return f"`{int(default) if is_whole else default}`" if default != "" else "empty"
