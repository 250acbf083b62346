"""What runs leave behind."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from training.loop.output import resume_file


def weights(directory: Path) -> dict[str, torch.Tensor]:
    """Those of a checkpoint, by name."""
    return load_file(directory / "model.safetensors")


def resume_state(output: Path) -> dict[str, Any]:
    """What a run goes on from."""
    state: dict[str, Any] = torch.load(resume_file(output), weights_only=True)
    return state
