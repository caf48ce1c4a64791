"""``python -m greensock`` is the ``greensock`` command."""

import gc
import sys

from .cli import main


def command() -> int:
    """Carry out the command line of this process; return its exit status."""
    # What is imported by now stays to the end. No collection need look through it: the last ones,
    # at the exit, take a tenth of a short command's time. Nor does one make children copy it.
    gc.freeze()
    return main()


if __name__ == "__main__":
    sys.exit(command())
