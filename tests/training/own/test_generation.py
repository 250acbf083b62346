"""A character model of a user's own text, trained by the command line."""

from pathlib import Path

import pytest

from training import checkpoint
from training.command import main
from training.own.generation import sizes

TALE = "".join(f"{i} \u201cquoted\u201d \u2014 {chr(97 + i % 26)}\n" for i in range(700))
QUICK = ["model.hidden_size=8", "model.embedding_size=4", "model.layers=1", "loop.epochs=1", "bptt_len=32"]


@pytest.fixture
def tale(tmp_path: Path) -> Path:
    path = tmp_path / "tale.txt"
    path.write_text(TALE, encoding="utf-8")
    return path


def train(*options: str) -> int:
    return main(["generation", *options, *(word for setting in QUICK for word in ("--set", setting))])


def test_a_file_is_trained_on_and_named_by_the_checkpoint(tale: Path, tmp_path: Path) -> None:
    assert train("--text", str(tale), "--output", str(tmp_path / "run")) == 0
    best = checkpoint.load(tmp_path / "run" / "best")
    assert [source.name for source in best.sources] == ["tale.txt"]
    assert "--text tale.txt" in best.command
    assert best.figures["dev"]["nats_per_char"] > 0
    # What the text itself has is kept as it is.
    assert best.definition.tokenizer.encode("\u201c\u2014").tokens == ["\u201c", "\u2014"]
    assert (tmp_path / "run" / "best" / "loss_by_position.png").is_file()


def test_a_file_that_changed_is_not_measured_on(tale: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--text", str(tale), "--output", str(tmp_path / "run")) == 0
    tale.write_text(TALE + "the end\n", encoding="utf-8")
    assert main(["evaluate", str(tmp_path / "run" / "best")]) == 1
    assert "wrong checksum" in capsys.readouterr().err


def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "note.txt").write_text("short")
    assert train("--text", str(tmp_path / "note.txt"), "--output", str(tmp_path / "run")) == 1
    assert "too short" in capsys.readouterr().err


@pytest.mark.parametrize(("num_characters", "expected"), [(5_000, (4, 60)), (1_000_000, (32, 16)), (10**8, (32, 2))])
def test_rows_and_epochs_follow_the_length(num_characters: int, expected: tuple[int, int]) -> None:
    assert sizes(num_characters) == expected
