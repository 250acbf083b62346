"""`python -m export`: see `export.command`."""

import sys

from training.installation import needing_training
from training.interrupt import ending_at_once

if __name__ == "__main__":
    with ending_at_once(), needing_training():
        from export.command import main  # loads torch, which takes seconds
    sys.exit(main())
