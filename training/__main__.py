"""`python -m training`: see `training.command`."""

import sys

from training.installation import needing_training
from training.interrupt import ending_at_once

if __name__ == "__main__":
    with ending_at_once(), needing_training():
        from training.allocator import keep_freed_memory
        from training.command import main  # loads torch, which takes seconds

        keep_freed_memory()
    sys.exit(main())
