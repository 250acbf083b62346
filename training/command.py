"""Train a model, or measure a trained one: `python -m training --help`."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from training import budget, checkpoint, comparison, settings
from training.checkpoint import CheckpointError
from training.command_line import command_line
from training.data.source import DataError
from training.diagnosis import command as diagnose
from training.exit_status import INTERRUPTED
from training.loop.output import LAST, check_resumable, check_unused, is_resumable, modification_times
from training.loop.run import TrainingError
from training.loop.train import train
from training.own import registry as own
from training.settings import SettingsError
from training.tasks import registry
from training.tasks.registry import Training
from training.tasks.task import Task


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status.
    """
    try:
        options = _parser().parse_args(arguments)
        status: int = options.run(options)
    except (CheckpointError, DataError, OSError, SettingsError, TrainingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train a model, or measure a trained one.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, training in registry.trainings().items():
        _add_training(commands.add_parser(name, help=f"train the {name} model"), name, training)
    evaluate = commands.add_parser(
        "evaluate",
        help="measure a checkpoint and write its figures.json",
        description="Measure a checkpoint on a split of its data, print the figures, and save them with plots in it.",
    )
    evaluate.add_argument("checkpoint", type=Path, help="directory of the checkpoint, for instance runs/sentiment/best")
    evaluate.add_argument("--split", choices=("dev", "test"), default="dev", help="split to measure on; default: dev")
    evaluate.set_defaults(run=_evaluate)
    comparison.add_to(commands)
    budget.add_to(commands)
    diagnose.add_to(commands)
    return parser


def _add_training(parser: argparse.ArgumentParser, name: str, training: Training) -> None:
    files = f"training/configs/{training.task}.toml"
    if training.config is None:
        parser.add_argument(
            "--config", type=Path, metavar="FILE", help="TOML file of settings that override the task's own"
        )
    else:
        files += f", overridden by those of {training.config.name}"
    parser.description = f"Train the {name} model with the settings of {files}."
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override one setting, for instance loop.epochs=3; may be repeated",
    )
    parser.add_argument("--show-settings", action="store_true", help="print all settings and exit")
    own_files = f", or runs/own-{name} for a file of your own" if training.task in own.OWN else ""
    parser.add_argument("--output", type=Path, help=f"directory of the run; default: runs/{name}{own_files}")
    own.add_options(training.task, parser)
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--resume", action="store_true", help="continue an interrupted run with the settings that it was started with"
    )
    start.add_argument(
        "--overwrite",
        action="store_true",
        help="start a new run even if the output directory holds one, which is replaced",
    )
    parser.set_defaults(run=_train, name=name, task=training.task, config=training.config)


def _train(options: argparse.Namespace) -> int:
    task_type = registry.task_type(options.task)
    command = _typed_command(options)
    own_arguments = own.typed(options.task, options)
    options.output = options.output or own.run_directory(options.name, is_own=bool(own_arguments))
    if options.resume:
        if options.config != registry.trainings()[options.name].config or options.overrides or own_arguments:
            raise SettingsError(
                f"--resume uses the settings and data of the run and takes no others; type: {_resume_command(options)}"
            )
        _check_resumable(options)
        saved = checkpoint.load(options.output / LAST)
        if saved.task != options.task:
            raise SettingsError(f"{options.output} holds a run of {saved.task}, which {options.name} cannot resume")
        task, command = saved.definition, saved.command
    else:
        if not options.overwrite and not options.show_settings:
            check_unused(options.output)  # before a long file is read
        chosen = own.choose(options.task, options)
        if chosen.summary:
            print(chosen.summary)
        task = task_type(
            settings.load(task_type.settings_type, options.task, options.config, options.overrides, chosen.settings)
        )
    if options.show_settings:
        print("\n".join(settings.describe(task.settings)))
        return 0
    former = modification_times(options.output)
    try:
        is_first = train(task, options.output, command, resume=options.resume, overwrite=options.overwrite)
    except KeyboardInterrupt:
        print(_interruption_message(options, former), file=sys.stderr)
        return INTERRUPTED
    return _finish(options.output / checkpoint.BEST, task) if is_first else 0


def _check_resumable(options: argparse.Namespace) -> None:
    try:
        check_resumable(options.output)
    except TrainingError as error:
        of_own_file = own.run_directory(options.name, is_own=True)
        if not is_resumable(of_own_file):
            raise
        raise TrainingError(f"{error}, or resume the run on your own file: --output {of_own_file}") from error


def _finish(best: Path, task: Task[Any]) -> int:
    """Measure a trained checkpoint, and say what to do with one of the user's own data."""
    try:
        status = _measure(best, "dev")
    except KeyboardInterrupt:
        measure = command_line("training", "evaluate", str(best))
        print(f"\ninterrupted: {best} is trained but not measured; run: {measure}", file=sys.stderr)
        status = INTERRUPTED
    if any(source.is_own for source in task.sources):
        print(f"next:\n{own.next_commands(best)}")
    return status


def _evaluate(options: argparse.Namespace) -> int:
    return _measure(options.checkpoint, options.split)


def _measure(path: Path, split: str) -> int:
    """Evaluate a checkpoint, print its figures, and write them and their pictures beside it.

    Returns:
        The exit status.
    """
    loaded = checkpoint.load(path)
    loaded.check_measurable()
    torch.set_num_threads(loaded.settings.loop.threads)
    with torch.no_grad():
        figures = loaded.definition.evaluate(loaded.model, split)
        checkpoint.write_figures(path, split, figures)
        loaded.definition.plot(loaded.model, split, path)
    print(f"{path}, {split} split:")
    for name, value in figures.items():
        print(f"  {name:32} {value:.6g}")
    if verdict := loaded.definition.verdict(figures):
        print(verdict)
    return 0


def _typed_command(options: argparse.Namespace) -> str:
    words = ["python", "-m", "training", options.name, *own.typed(options.task, options)]
    if options.name == options.task and options.config is not None:
        words += ["--config", str(options.config)]
    for override in options.overrides:
        words += ["--set", override]
    return shlex.join(words)


def _interruption_message(options: argparse.Namespace, former: dict[str, int]) -> str:
    """Return the message after an interruption. `former` is the `modification_times` before the run."""
    if options.overwrite and former and modification_times(options.output) == former:
        return f"\ninterrupted before training began: the previous run is still in {options.output}"
    if not is_resumable(options.output):
        gone = ", and the previous run is gone" if options.overwrite and former else ""
        return f"\ninterrupted before the first epoch ended: nothing was saved{gone}"
    saved = f"{options.output / LAST} holds the run up to its last complete epoch"
    return f"\ninterrupted: {saved}; resume with\n    {_resume_command(options)}"


def _resume_command(options: argparse.Namespace) -> str:
    return command_line("training", options.name, "--output", str(options.output), "--resume")
