"""Standard output, which a server can do without: it may be closed, full or a pipe nobody reads."""

import logging
import os
import sys

logger = logging.getLogger("greensock")


def say(line: str) -> None:
    """Print a line, if that can be done."""
    try:
        print(line)
    except UnicodeEncodeError:  # a path may hold anything
        say(line.encode("ascii", "backslashreplace").decode())
    except OSError as error:
        _give_up(error)


def flush() -> None:
    """See that what was printed is out, if that can be done."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        _give_up(error)


def finish() -> None:
    """See to that at the end, and that what is left of standard error is no failure, either."""
    flush()
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        sys.stderr = open(os.devnull, "w")


def _give_up(error: OSError) -> None:
    # What is left in it would be tried again in the end, and make that a failure.
    sys.stdout = open(os.devnull, "w")
    logger.warning("cannot write to standard output: %s", error.strerror or error)
