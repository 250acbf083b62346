"""The directory of a run: whether a run may begin or go on there, and what is removed before another begins."""

import shutil
from pathlib import Path

from training.loop.run import TrainingError

BEST, LAST, METRICS = "best", "last", "metrics.csv"
TRAINED = (BEST, LAST, METRICS)  # what no run overwrites unasked
RESUME = "resume.ckpt"


def prepare(output: Path, *, resume: bool, overwrite: bool) -> None:
    """Check that a directory holds a run to resume, or none that would be lost unasked. Make it if there is none.

    Raises:
        TrainingError: It cannot be used.
    """
    if resume:
        check_resumable(output)
    elif not overwrite:
        check_unused(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot write into {output}: {error.strerror}") from error


def check_unused(output: Path) -> None:
    """Make sure that a directory holds no run that would be lost.

    Raises:
        TrainingError: It holds one.
    """
    if any((output / name).exists() for name in TRAINED):
        found = "a run: continue it with --resume," if is_resumable(output) else "a run that cannot be resumed:"
        raise TrainingError(f"{output} holds {found} start again with --overwrite, or name another --output")


def check_resumable(output: Path) -> None:
    """Make sure that a directory holds a run that can go on.

    Raises:
        TrainingError: It holds none.
    """
    if not is_resumable(output):
        file = resume_file(output)
        raise TrainingError(f"nothing to resume: {file} does not exist. Leave out --resume to start the run")


def is_resumable(output: Path) -> bool:
    """Whether a directory holds a run that was saved after an epoch."""
    return resume_file(output).is_file()


def resume_file(output: Path) -> Path:
    """The file that a run goes on from."""
    return output / LAST / RESUME


def written(output: Path) -> dict[str, int]:
    """When each part of a run was written last, in nanoseconds, by its name."""
    return {name: (output / name).stat().st_mtime_ns for name in TRAINED if (output / name).exists()}


def remove_run(output: Path) -> None:
    """Remove a run, and leave whatever else lies in its directory."""
    for directory in (BEST, LAST, "tensorboard"):
        shutil.rmtree(output / directory, ignore_errors=True)
    for file in (METRICS, "curves.png"):
        (output / file).unlink(missing_ok=True)
