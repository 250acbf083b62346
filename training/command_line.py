"""Commands as messages print them, to be pasted."""

import shlex
import sys
from pathlib import Path


def command_line(module: str, *words: str) -> str:
    """Return the command line that runs a module with this interpreter.

    The interpreter's path is relative to the current directory where it lies in a directory below it.
    """
    interpreter, here = Path(sys.executable), Path.cwd()
    if here in interpreter.parents[1:]:
        interpreter = interpreter.relative_to(here)
    return shlex.join([str(interpreter), "-m", module, *words])
