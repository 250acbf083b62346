"""Baselines for the service: how the same work is usually done without it."""

from pathlib import Path

MODELS = Path(__file__).parents[2] / "models"
GENERATION = MODELS / "generation"
