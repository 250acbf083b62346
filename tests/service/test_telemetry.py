"""Nobody is told what this service does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import MODELS

OPEN = """
from pathlib import Path
from service.bundle.manifest import read_bundle
from service.engine.runtime import Runtime
"""
MODEL = MODELS / "forecasting"


@pytest.mark.parametrize("package", ["service", "export.proof.parity"])
def test_onnxruntime_keeps_no_diary_for_its_makers(tmp_path: Path, package: str) -> None:
    script = f"import {package}{OPEN}Runtime(read_bundle(Path({str(MODEL)!r})))"
    variables = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(  # noqa: S603  words of this test
        [sys.executable, "-c", script],
        env={**variables, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
    )
    assert not list(tmp_path.rglob("*onnxruntime*"))
