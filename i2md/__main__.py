"""`python -m i2md`: the command line."""

import sys

from i2md.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
