"""`python -m export`: see `export.command`."""

import sys

from training.exit_status import INTERRUPTED

if __name__ == "__main__":
    try:
        from export.command import main  # loads torch, which takes seconds

        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
