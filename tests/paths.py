"""Where things are in this repository."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
DOCS = ROOT / "docs"
LOCUSTFILE = ROOT / "loadtest" / "locustfile.py"
