"""A training's loop: what it leaves, and what ends it."""

import math
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tests.training.loop.left import resume_state, weights
from tests.training.toy import BATCHES, MaskedToyTask, ToySettings, ToyTask
from training import checkpoint
from training.command import main
from training.loop.run import TrainingError, build_run, parameter_groups
from training.loop.schedule import learning_rate
from training.loop.step import take_step
from training.loop.train import evaluate_and_save, train
from training.settings import LoopSettings

pytestmark = pytest.mark.usefixtures("toy")


def figures_of_epochs(*errors: float, patience: int | None = None, epochs: int = 4) -> ToyTask:
    return ToyTask(ToySettings(loop=LoopSettings(epochs=epochs, patience=patience), dev_errors=errors))


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    main(["toy", "--output", str(tmp_path / "a")])
    main(["toy", "--output", str(tmp_path / "b"), "--set", "seed=4"])
    assert not torch.equal(
        weights(tmp_path / "a" / "last")["head.weight"], weights(tmp_path / "b" / "last")["head.weight"]
    )


def test_run_stops_when_the_dev_figure_gets_no_better(tmp_path: Path) -> None:
    train(figures_of_epochs(5, 4, 4, 4.5, 1, patience=2, epochs=5), tmp_path, "command")
    progress = resume_state(tmp_path)["progress"]
    assert (progress["epoch"], progress["best_epoch"]) == (4, 2)


def test_best_checkpoint_is_that_of_the_best_epoch(tmp_path: Path) -> None:
    train(figures_of_epochs(5, 1, 4, epochs=3), tmp_path / "three", "command")
    train(figures_of_epochs(5, 1, 4, epochs=3), tmp_path / "again", "command")
    assert weights(tmp_path / "three" / "best").keys() == ToyTask(ToySettings()).build_model().state_dict().keys()
    best, last = weights(tmp_path / "three" / "best"), weights(tmp_path / "three" / "last")
    assert not torch.equal(best["head.weight"], last["head.weight"])
    torch.testing.assert_close(weights(tmp_path / "again" / "best"), best, rtol=0, atol=0)


def test_carried_state_is_detached_and_fresh_in_each_epoch(tmp_path: Path) -> None:
    task = figures_of_epochs(1, 1, epochs=2)
    train(task, tmp_path, "command")
    carries = task.carries[1:]  # the first call only counted operations
    assert [carry is None for carry in carries] == ([True] + [False] * (BATCHES - 1)) * 2
    carried = [carry for carry in carries if carry is not None]
    assert all(carry.grad_fn is None and not carry.requires_grad and carry.abs().sum() > 0 for carry in carried)


def test_run_leaves_metrics_events_and_curves(tmp_path: Path) -> None:
    train(ToyTask(ToySettings()), tmp_path, "command")
    header, *rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert header.split(",")[:3] == ["epoch", "step", "train_loss"]
    assert header.endswith("dev_error")
    assert [row.split(",")[:2] for row in rows] == [[f"{e}.0", f"{e * BATCHES}.0"] for e in (1, 2, 3, 4)]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "tensorboard").iterdir())


def test_a_run_tells_how_fast_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(ToyTask(ToySettings()), tmp_path, "command")
    header, first, *_ = (tmp_path / "metrics.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert float(row["items_per_second"]) * float(row["seconds"]) == pytest.approx(BATCHES * 4 * 3)
    assert 0 < float(row["gemm_share"]) < 1
    assert "items a second" in capsys.readouterr().out


def test_an_output_that_cannot_be_a_directory_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["toy", "--output", str(tmp_path / "file" / "run")]) == 1
    assert f"error: cannot write into {tmp_path / 'file' / 'run'}: Not a directory" in capsys.readouterr().err


def test_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"loss is nan at step 0.*learning_rate"):
        train(ToyTask(ToySettings(diverge=True)), tmp_path, "command")


class SteepTask(ToyTask):
    """A toy whose gradient is not finite at the last step of the second epoch, although its loss is."""

    def loss(
        self, model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], carry: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The square root of 0 is 0, and its slope infinite."""
        loss, h = super().loss(model, batch, carry)
        is_steep = len(self.carries) == 2 * BATCHES + 1  # the first call only counted operations
        return (loss + (0 * h.sum()).abs().sqrt() if is_steep and h is not None else loss), h


def test_gradient_that_is_no_number_ends_the_run_before_it_is_learnt_from(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=rf"at step {2 * BATCHES - 1}, the norm of its gradient nan"):
        train(SteepTask(ToySettings()), tmp_path, "command")
    state = resume_state(tmp_path)
    assert state["progress"]["epoch"] == 1
    assert all(weight.isfinite().all() for weight in state["model"].values())


@pytest.mark.parametrize("wish", ["loop.accelerator=gpuu", "loop.strategy=dpp"])
def test_a_device_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], wish: str) -> None:
    assert main(["toy", "--output", str(tmp_path / "run"), "--set", wish]) == 1
    assert wish in capsys.readouterr().err


def test_gradient_is_clipped_by_its_whole_norm(tmp_path: Path) -> None:
    norms: list[float] = []

    def measure(optimizer: Optimizer, *_: object) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(float(nn.utils.get_total_norm(gradients)))

    hook = register_optimizer_step_pre_hook(measure)
    try:
        settings = ToySettings(loop=LoopSettings(epochs=1, clip_grad_norm=0.01))
        train(ToyTask(settings), tmp_path, "command")
    finally:
        hook.remove()
    assert norms == pytest.approx([0.01] * BATCHES, rel=1e-3)


@pytest.mark.parametrize("task_type", [ToyTask, MaskedToyTask])
def test_two_processes_deal_out_the_rows_and_learn_the_same(tmp_path: Path, task_type: type[ToyTask]) -> None:
    alone = LoopSettings(epochs=1, ema_decay=0.9)
    shared = alone.model_copy(update={"devices": 2, "strategy": "ddp_spawn"})
    for name, settings in (("alone", alone), ("shared", shared)):
        train(task_type(ToySettings(loop=settings, dropout=0.0)), tmp_path / name, "command")
    torch.testing.assert_close(weights(tmp_path / "shared" / "last"), weights(tmp_path / "alone" / "last"))
    losses = [resume_state(tmp_path / name)["progress"]["history"][0]["train_loss"] for name in ("shared", "alone")]
    assert losses[0] == pytest.approx(losses[1])


def test_processes_do_not_measure_each_for_itself_which_precision_is_faster(tmp_path: Path) -> None:
    loop = LoopSettings(epochs=1, devices=2, strategy="ddp_spawn", precision="auto")
    with pytest.raises(TrainingError, match=r"could choose another precision.*--set loop\.precision=32-true"):
        train(ToyTask(ToySettings(loop=loop)), tmp_path, "command")


def note_failure(fabric: Fabric, output: Path) -> None:
    """Take a step in each process; a row of the second one is broken."""
    run = build_run(fabric, ToyTask(ToySettings(dropout=0.0)))
    x = torch.ones(4, 3)
    x[1] = math.nan
    try:
        take_step(run, (x, torch.ones(4, 1)), None)
    except TrainingError:
        (output / f"failed{fabric.global_rank}").touch()


def keep_best(fabric: Fabric, output: Path) -> None:
    """Finish an epoch whose figures differ between processes."""
    task = ToyTask(ToySettings(dev_errors=(1.0 + fabric.global_rank,)))
    run = build_run(fabric, task)
    evaluate_and_save(run, {}, output, "command")
    (output / f"best{fabric.global_rank}").write_text(str(run.progress.best_figures))


def keep_best_and_fail(fabric: Fabric, output: Path) -> None:
    """Both of these."""
    keep_best(fabric, output)
    note_failure(fabric, output)


@pytest.fixture(scope="module")
def of_both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have written."""
    output = tmp_path_factory.mktemp("output")
    Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn").launch(keep_best_and_fail, output)
    return output


def test_all_processes_go_by_the_figures_of_one(of_both: Path) -> None:
    assert [(of_both / f"best{rank}").read_text() for rank in (0, 1)] == ["{'error': 1.0}"] * 2


def test_a_loss_that_is_no_number_in_one_process_ends_all(of_both: Path) -> None:
    assert all((of_both / f"failed{rank}").exists() for rank in (0, 1))


def test_only_the_first_process_measures_the_best_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_as_the_second(task: ToyTask, output: Path, command: str, *, resume: bool, overwrite: bool) -> bool:
        assert train(task, output, command, resume=resume, overwrite=overwrite)
        return False

    monkeypatch.setattr("training.command.train", train_as_the_second)
    assert main(["toy", "--output", str(tmp_path)]) == 0
    assert not (tmp_path / "best" / checkpoint.FIGURES).exists()


def test_run_without_a_dev_figure_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyTask, "evaluate", lambda *_: {"error": math.nan})
    with pytest.raises(TrainingError, match="dev error was NaN after every epoch"):
        train(ToyTask(ToySettings()), tmp_path, "command")


def test_only_matrices_decay() -> None:
    task = ToyTask(ToySettings())
    matrices, vectors = parameter_groups(task.build_model(), task)
    assert {p.ndim for p in matrices["params"]} == {2}
    assert {p.ndim for p in vectors["params"]} == {1}
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)


def test_parameters_learn_with_their_share_of_the_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ToyTask(ToySettings()).build_model()
    monkeypatch.setattr(ToyTask, "initialise", lambda _, model: model.load_state_dict(start.state_dict()))
    monkeypatch.setattr(ToyTask, "learning_rate_scale", lambda _, name: 0.0 if name == "head.weight" else 0.5)
    loop = LoopSettings(epochs=1, learning_rate=0.02)
    train(ToyTask(ToySettings(loop=loop)), tmp_path, "command")
    trained = weights(tmp_path / "last")
    torch.testing.assert_close(trained["head.weight"], start.state_dict()["head.weight"], rtol=0, atol=0)
    assert not torch.equal(trained["cell.weight_hh"], start.state_dict()["cell.weight_hh"])
    rates = [group["lr"] for group in resume_state(tmp_path)["optimizer"]["param_groups"]]
    scheduled = learning_rate(BATCHES - 1, BATCHES, loop)
    assert sorted(rates) == pytest.approx([0.0, 0.5 * scheduled, 0.5 * scheduled])


def test_what_is_to_be_seen_is_drawn_beside_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ToyTask, "plot", lambda _, __, split, directory: (directory / f"{split}.png").write_bytes(b"picture")
    )
    assert main(["toy", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "best" / "dev.png").read_bytes() == b"picture"
