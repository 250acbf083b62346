"""The directory of a run: checks whether a run may start or resume there, and removes a former run."""

import shutil
from pathlib import Path

from training.checkpoint import BEST
from training.loop.run import TrainingError

LAST, METRICS = "last", "metrics.csv"
TRAINED = (BEST, LAST, METRICS)  # never overwritten unasked
RESUME = "resume.ckpt"


def prepare(output: Path, *, resume: bool, overwrite: bool) -> None:
    """Check that a directory holds a run to resume, or none that would be lost. Create it if it does not exist.

    Raises:
        TrainingError: The directory cannot be used.
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
    """Check that a directory holds no run that would be lost.

    Raises:
        TrainingError: It holds one.
    """
    if any((output / name).exists() for name in TRAINED):
        found = "a run: continue it with --resume," if is_resumable(output) else "a run that cannot be resumed:"
        raise TrainingError(f"{output} holds {found} start again with --overwrite, or name another --output")


def check_resumable(output: Path) -> None:
    """Check that a directory holds a run that can be resumed.

    Raises:
        TrainingError: It does not.
    """
    if not is_resumable(output):
        file = resume_file(output)
        raise TrainingError(f"nothing to resume: {file} does not exist. Leave out --resume to start the run")


def is_resumable(output: Path) -> bool:
    """Whether a directory holds a run that was saved after at least one epoch."""
    return resume_file(output).is_file()


def resume_file(output: Path) -> Path:
    """Return the file from which a run is resumed."""
    return output / LAST / RESUME


def modification_times(output: Path) -> dict[str, int]:
    """Return when each part of a run was last written, in nanoseconds, by name."""
    return {name: (output / name).stat().st_mtime_ns for name in TRAINED if (output / name).exists()}


def remove_run(output: Path) -> None:
    """Remove a run, but nothing else in its directory."""
    for directory in (BEST, LAST, "tensorboard"):
        shutil.rmtree(output / directory, ignore_errors=True)
    for file in (METRICS, "curves.png"):
        (output / file).unlink(missing_ok=True)
