"""Options that tell of a file of the user's own."""

import argparse
from pathlib import Path

import pytest

from training.own import registry
from training.settings import SettingsError


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--csv", "sales.csv", "--time", "month", "--target", "shoes", "--target", "hats", "--horizon", "6"],
        ["--gaps", "interpolate"],
        ["--target=-b", "--target", "c d"],
    ],
)
def test_what_was_typed_is_told_again(words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    registry.add_options("forecasting", parser)
    assert registry.typed("forecasting", parser.parse_args(words)) == words


def test_a_file_is_told_by_its_name_and_a_default_not_at_all(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    registry.add_options("forecasting", parser)
    given = parser.parse_args(["--csv", str(tmp_path / "sales.csv"), "--gaps", "refuse"])
    assert registry.typed("forecasting", given) == ["--csv", "sales.csv"]


def test_choosing_says_nothing_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tale = tmp_path / "tale.txt"
    tale.write_text("abc\n" * 2000, encoding="utf-8")
    parser = argparse.ArgumentParser()
    registry.add_options("generation", parser)
    choice = registry.choose("generation", parser.parse_args(["--text", str(tale)]))
    assert choice.summary == f"{tale}: 8000 characters, 4 distinct"
    assert choice.settings["loop"] == {"epochs": 60, "patience": 5}
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("sales", "sales"),
        ("My Sales (2024)", "my-sales-2024"),
        ("sentiment", "own-sentiment"),
        ("own-sentiment", "own-sentiment"),
        ("__", "own"),
        ("s" * 99, "s" * 50),
    ],
)
def test_the_next_commands_name_a_bundle_that_replaces_none_that_ships(run: str, name: str) -> None:
    export, serve, hint = registry.next_commands(Path("runs") / run / "best").splitlines()
    assert export.endswith(f" --name {name}")
    assert serve.endswith(f"UNROLLED_BUNDLES={name}:latest make serve")
    assert hint.endswith("# for a newer version of a bundle, --name is that bundle's")


def test_an_option_without_its_file_is_refused() -> None:
    parser = argparse.ArgumentParser()
    registry.add_options("generation", parser)
    with pytest.raises(SettingsError, match="--encoding needs --text"):
        registry.choose("generation", parser.parse_args(["--encoding", "utf-16"]))


def test_an_encoding_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    registry.add_options("sentiment", parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--encoding", "windows"])
    assert "'windows' is not an encoding; windows-1252 and utf-16 are examples" in capsys.readouterr().err


@pytest.mark.parametrize("zone", ["Europe/Bonn", "", "../x"])
def test_a_zone_that_there_is_not_is_refused(zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    registry.add_options("forecasting", parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--zone", zone])
    assert f"'{zone}' is not a time zone; Europe/Berlin and UTC are examples" in capsys.readouterr().err


def test_a_task_that_takes_no_file_has_no_options_and_nothing_to_choose() -> None:
    parser = argparse.ArgumentParser()
    registry.add_options("caption", parser)
    given = parser.parse_args([])
    assert registry.typed("caption", given) == []
    assert registry.choose("caption", given).settings == {}
