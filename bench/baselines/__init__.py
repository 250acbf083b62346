"""Baselines for the service: how the same work is usually done without it.

Programs for other servers run in virtual environments of their own, where the project is not installed: they import
numpy, onnxruntime, their server and `bench.baselines.step_model` only.
"""

from pathlib import Path

MODELS = Path(__file__).parents[2] / "models"
GENERATION = MODELS / "generation"
