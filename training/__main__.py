"""`python -m training`: see `training.command`."""

import sys

from training.allocator import keep_freed_memory
from training.exit_status import INTERRUPTED

if __name__ == "__main__":
    try:
        from training.command import main  # loads torch, which takes seconds

        keep_freed_memory()
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
