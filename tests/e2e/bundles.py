"""Bundles for the model store of a service that a test starts: other versions of a shipped one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.e2e.server import environment
from tests.paths import ROOT

SENTIMENT = ROOT / "models" / "sentiment"
IMPORT = "import sys, pathlib, service.bundle.store as s; print(s.import_bundle(pathlib.Path(sys.argv[1])).tag)"


def another_version(directory: Path, command: str, name: str = "sentiment") -> Path:
    """The shipped sentiment bundle with another command in its manifest, so of another version, or of another name."""
    shutil.copytree(SENTIMENT, directory)
    path = directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "command": command, "name": name}))
    return directory


def import_into(home: Path, bundle: Path) -> str:
    """Put a bundle into the model store of a home; its tag."""
    done = subprocess.run(  # noqa: S603  words of this module
        [sys.executable, "-c", IMPORT, str(bundle)],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[-1]
