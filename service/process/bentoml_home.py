"""Makes the directories that BentoML would make when it is loaded, where a failure would be a traceback.

Imports nothing large, so that it can be used before BentoML is loaded.
"""

import os
from collections.abc import Mapping
from pathlib import Path

NAMES = ("bentos", "models", "envs", "tmp")
_VARIABLE = "BENTOML_HOME"
_AT_HOME = "~/bentoml"


def create_home(environment: Mapping[str, str] = os.environ) -> str | None:
    """Make BentoML's directories where they are missing. Return why that has failed, None if it has not."""
    home = _expanded(environment.get(_VARIABLE, _AT_HOME))
    try:
        for directory in (Path(home), *(Path(home) / name for name in NAMES)):
            directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{_VARIABLE}: user {os.geteuid()} cannot make BentoML's directories in {home}: {error}"
    return None


def _expanded(home: str) -> str:
    """Expand variables and tildes in a path, as BentoML does."""
    before = None
    while home != before:
        before, home = home, os.path.expanduser(os.path.expandvars(home))  # noqa: PTH111  home or not
    return home
