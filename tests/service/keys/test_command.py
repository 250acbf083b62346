"""The verbs that edit the keys."""

from pathlib import Path

import pytest

from service.__main__ import main
from service.keys.key_file import read_keys
from service.keys.keys import Keys
from tests.service.keys.conftest import owner_of


def test_the_command_prints_a_token_that_works(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["keys", "add", "ada", "--file", str(file)])
    assert owner_of(Keys(file), capsys.readouterr().out.strip()) == "ada"


def test_the_command_takes_the_file_of_the_setting(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLLED_API_KEYS", str(file))
    main(["keys", "add", "ada"])
    key_id = capsys.readouterr().out.split("_")[1]
    main(["keys", "list"])
    assert capsys.readouterr().out == f"{key_id}  ada\n"
    main(["keys", "remove", key_id])
    assert read_keys(file) == {}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["add", "ada"], "UNROLLED_API_KEYS"),
        (["list", "--file", "/nowhere/keys"], "No such file"),
        (["remove", "1f", "--file", "/nowhere/keys"], "No such file"),
        (["add", "a:b", "--file", "/nowhere/keys"], "an owner is"),
    ],
)
def test_the_command_says_what_it_cannot_do(arguments: list[str], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNROLLED_API_KEYS", raising=False)
    with pytest.raises(SystemExit, match=reason):
        main(["keys", *arguments])
