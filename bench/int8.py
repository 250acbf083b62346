"""`POST /steps` with the int8 bundle, against the float32 bundle that it was made from."""

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.baselines import GENERATION
from bench.compare import multiple, rate
from bench.figure import Figure, Unavailable
from bench.load import alternate
from bench.options import Options
from bench.progress import waiting
from bench.server import ROOT
from bench.service import Service
from bench.steps import SIZES, open_batches, steps_client
from service.bundle.manifest import MANIFEST_FILE

LIMIT = 1.4


def measure(options: Options) -> list[Figure]:
    """Serve both bundles at once, each by its own service, and measure them in turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-int8-")))
        runs = {}
        for name, bundle in (("float32", GENERATION), ("int8", quantized(folder))):
            service = stack.enter_context(Service(options.store, bundles=(bundle,)))
            batches = open_batches(service)
            for size in SIZES:
                own = steps_client(service, batches, "binary", "none", size)
                runs[f"{name}, T = {size}"] = stack.enter_context(own).run
        loads = alternate("int8", runs, options.rounds, options.seconds)
    figures: list[Figure] = []
    for size in SIZES:
        float32, int8 = loads[f"float32, T = {size}"], loads[f"int8, T = {size}"]
        figures.append(multiple(f"POST /steps, int8 of float32, T = {size}", int8, float32, LIMIT))
        figures.append(rate(f"POST /steps, int8, T = {size}", int8))
    return figures


def quantized(folder: Path) -> Path:
    """Make the int8 bundle from the shipped one.

    Raises:
        Unavailable: It cannot be made.
    """
    command = [sys.executable, "-m", "export", "quantize", str(GENERATION), "--no-import", "--output", str(folder)]
    with waiting("quantizing"):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  our own arguments
    found = [manifest.parent for manifest in folder.rglob(MANIFEST_FILE)]
    if done.returncode or len(found) != 1:
        raise Unavailable(f"no int8 bundle: {(done.stderr or done.stdout).strip()[-500:]}")
    return found[0]
