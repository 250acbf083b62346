"""The command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from export.command import main
from export.recipes.language import DECODE_SIZES
from export.recipes.registry import RECIPES
from service.bundle.manifest import read_bundle
from tests.export.conftest import Exported
from tests.paths import MODELS, ROOT
from training.command import main as train
from training.exit_status import TERMINATED as TERMINATED_STATUS
from training.recurrence.cells import LSTMCell
from training.tasks import registry


def test_an_export_prints_the_proof_and_the_cost_of_each_rung(generation: Exported) -> None:
    lines = generation.printed.splitlines()
    assert any(line.split() == ["cuts", "decode", "all", "0", "differ", "same", "bits", "ok"] for line in lines)
    costs = [line for line in lines if "ms to load" in line]
    assert [line.split()[:2] for line in costs] == [["encode", "1"], ["encode", "3"], ["decode", "2"], ["decode", "5"]]
    assert lines[-1] == f"wrote {generation.bundle.path}"


def test_a_bundle_has_the_name_that_it_is_given(sentiment: Exported, tmp_path: Path) -> None:
    given = ["--output", str(tmp_path), "--name", "films", "--rungs", "encode=1", "--no-import"]
    assert main([str(sentiment.checkpoint.path), *given]) == 0
    assert read_bundle(tmp_path / "films").manifest.name == "films"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a user's own text."""
    directory = tmp_path_factory.mktemp("own")
    text = directory / "tale.txt"
    text.write_text("it was a dark and stormy night\n" * 200, encoding="utf-8")
    tiny = ["--set", "loop.epochs=1", "--set", "model.hidden_size=8", "--set", "model.embedding_size=4"]
    assert train(["generation", "--text", str(text), "--output", str(directory / "run"), *tiny]) == 0
    return directory / "run" / "best"


def test_a_bundle_of_a_users_own_data_must_be_named(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(own), "--output", str(tmp_path / "models"), "--no-import"]) == 1
    assert "learned from tale.txt: give its bundle its own name with --name" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", ["generation", "sentiment", "generation-mingru", "translation-de"])
def test_a_bundle_of_a_users_own_data_takes_no_shipped_name_unasked(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main([str(own), "--output", str(tmp_path / "models"), "--name", name, "--no-import"]) == 1
    assert f"learned from tale.txt, and {name} is the name of a model" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_bundle_of_a_users_own_data_takes_a_shipped_name_where_that_is_asked_for(own: Path, tmp_path: Path) -> None:
    asked = ["--name", "generation", "--replace-shipped", "--rungs", "encode=1", "--rungs", "decode=2", "--no-import"]
    assert main([str(own), "--output", str(tmp_path), *asked]) == 0
    assert read_bundle(tmp_path / "generation").manifest.data[0].name == "tale.txt"


def test_all_that_ships_has_a_name_that_is_reserved() -> None:
    shipped = MODELS
    assert {path.parent.name for path in shipped.glob("*/manifest.json")} <= registry.trainings().keys()


@pytest.mark.parametrize("name", ["My Sales", "Sales", "../sales", "s" * 64, ""])
def test_a_name_that_no_bundle_may_have_is_refused_before_anything_is_done(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["somewhere", "--name", name])
    assert "argument --name: expected at most 63 lower-case letters" in capsys.readouterr().err


def test_a_directory_that_is_no_checkpoint_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert f"error: {tmp_path} is not a checkpoint" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "missing" / "models.md"
    assert main(["overview", "--models", str(ROOT / "models"), "--output", str(page)]) == 1
    assert f"error: [Errno 2] No such file or directory: '{page}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rungs", "reason"),
    [
        ("encode=8", "encode needs a rung of 1"),
        ("encode=1,65", "1 to 64"),
        ("decode=8", "no stage ['decode']"),
    ],
)
def test_a_ladder_that_cannot_be_served_is_an_error(
    sentiment: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str], rungs: str, reason: str
) -> None:
    assert main([str(sentiment.checkpoint.path), "--output", str(tmp_path), "--rungs", rungs]) == 1
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_rungs_that_are_no_numbers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["somewhere", "--rungs", "encode=one"])
    assert "expected STAGE=T,T" in capsys.readouterr().err


IMPORT = """
import sys
from pathlib import Path
import bentoml
from export import command as command_line
from export.bundle.bundle import Export
from export.commands import export as verb
from export.proof.report import Report
from service.bundle.manifest import read_bundle
written = Export(read_bundle(Path(sys.argv[2])), Report((), "", ""), ())
verb.export_checkpoint = lambda *_: written
assert command_line.main([sys.argv[1]]) == 0
(model,) = bentoml.models.list()
assert str(model.tag) == written.bundle.tag, model.tag
"""


def test_an_export_is_imported_into_the_model_store(sentiment: Exported, tmp_path: Path) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
    script = [sys.executable, "-c", IMPORT, str(sentiment.checkpoint.path), str(sentiment.bundle.path)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert f"imported {sentiment.bundle.tag} into the BentoML model store" in done.stdout


TERMINATED = """
import os
import signal
import sys
from pathlib import Path
from export import command as command_line
from export.commands import export as verb
from export.bundle.directory import new_directory

def export(source, destination, *_):
    with new_directory(destination):
        os.kill(os.getpid(), signal.SIGTERM)

verb.export_checkpoint = export
sys.exit(command_line.main([sys.argv[1], "--output", sys.argv[2]]))
"""


def test_an_export_that_is_terminated_leaves_nothing_unfinished(sentiment: Exported, tmp_path: Path) -> None:
    script = [sys.executable, "-c", TERMINATED, str(sentiment.checkpoint.path), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == TERMINATED_STATUS, done.stderr
    assert "interrupted" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_was_started_to_ignore_sigterm_goes_on(sentiment: Exported, tmp_path: Path) -> None:
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + TERMINATED.replace(
        "        os.kill(os.getpid(), signal.SIGTERM)", "        os.kill(os.getpid(), signal.SIGTERM)\n    sys.exit(7)"
    )
    script = [sys.executable, "-c", ignoring, str(sentiment.checkpoint.path), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (7, "")


def test_the_command_line_may_be_called_from_a_thread(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, [str(tmp_path)]).result() == 1
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def with_command(exported: Exported, directory: Path, command: str) -> Path:
    """A copy of a checkpoint that another command has trained."""
    copy = Path(shutil.copytree(exported.checkpoint.path, directory / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "command": command}))
    return copy


def test_a_training_whose_settings_file_is_gone_is_exported_under_its_name(sentiment: Exported, tmp_path: Path) -> None:
    source = with_command(sentiment, tmp_path, "python -m training sentiment-of-mine")
    assert main([str(source), "--output", str(tmp_path), "--rungs", "encode=1", "--no-import"]) == 0
    assert read_bundle(tmp_path / "sentiment-of-mine").manifest.name == "sentiment-of-mine"


def test_weights_from_elsewhere_of_a_task_that_takes_none_are_refused(
    sentiment: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = with_command(sentiment, tmp_path, "my own notebook")
    assert main([str(source), "--output", str(tmp_path), "--name", "mine"]) == 1
    assert (
        f"{source} was not trained by `python -m training`: only checkpoints of generation can come from elsewhere; "
        "make a bundle of its graphs, as docs/own-weights.md shows. Its command is 'my own notebook'"
    ) in capsys.readouterr().err


def test_a_task_without_a_recipe_is_an_error_that_says_where_to_add_it(
    sentiment: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(RECIPES, "sentiment")
    assert main([str(sentiment.checkpoint.path), "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "error: the task sentiment has no recipe: add it to RECIPES in export/recipes/registry.py\n"
    )


def test_a_cell_without_a_ladder_is_an_error_that_says_where_to_add_it(
    generation: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(DECODE_SIZES, "lstm")
    assert main([str(generation.checkpoint.path), "--output", str(tmp_path)]) == 1
    assert "no ladder for a decode stage by lstm: add it to DECODE_SIZES" in capsys.readouterr().err


def test_an_unrolled_pass_that_is_not_what_was_trained_is_not_exported(
    generation: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def with_o_and_g_swapped(
        cell: LSTMCell, projected_t: Tensor, h_prev: Tensor, c_prev: Tensor
    ) -> tuple[Tensor, Tensor]:
        i, f, g, o = (projected_t + h_prev @ cell.Wh).chunk(4, dim=-1)
        c_t = torch.sigmoid(f) * c_prev + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c_t), c_t

    monkeypatch.setattr(LSTMCell, "advance", with_o_and_g_swapped)
    given = ["--output", str(tmp_path), "--rungs", "encode=1", "--rungs", "decode=1"]
    assert main([str(generation.checkpoint.path), *given]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines if line.endswith("FAILED")] == [["trained", "all"]]
    assert list(tmp_path.iterdir()) == []
