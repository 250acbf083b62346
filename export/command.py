"""Command line: makes bundles and imports them into the BentoML model store.

python -m export CHECKPOINT             the float32 bundle of a checkpoint
python -m export CHECKPOINT --int8      its int8 bundle
python -m export quantize BUNDLE        the int8 bundle of a float32 bundle
python -m export seeds BUNDLE CHECKPOINT ..   figures over several seeds, for an existing bundle
python -m export verify BUNDLE          checks a bundle whose graphs were made elsewhere
python -m export import BUNDLE          checks it and imports it
python -m export overview               the page of all shipped models, docs/models.md, and their cards
python -m export compare                shipped models beside published figures, and a check of their cards
"""

import sys
from collections.abc import Sequence

import torch

from export.commands import compare, export, overview, quantize, seeds, verify
from export.errors import ExportError
from export.termination import Terminated, raising_terminated
from service.bundle.errors import BundleError
from training.checkpoint import CheckpointError
from training.exit_status import INTERRUPTED, TERMINATED
from training.settings import SettingsError

BUILDERS = {
    "quantize": quantize.build_parser,
    "seeds": seeds.build_parser,
    "verify": verify.build_parser,
    "import": verify.build_import_parser,
    "overview": overview.build_parser,
    "compare": compare.build_parser,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    verb = BUILDERS.get(given[0] if given else "")
    try:
        options = verb().parse_args(given[1:]) if verb is not None else export.build_parser().parse_args(given)
        torch.set_num_threads(1)
        with raising_terminated():
            options.run(options)
    except (BundleError, CheckpointError, ExportError, OSError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interruption:
        print("\ninterrupted: only the files reported above as written were written", file=sys.stderr)
        return TERMINATED if isinstance(interruption, Terminated) else INTERRUPTED
    return 0
