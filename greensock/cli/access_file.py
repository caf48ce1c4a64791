"""The file, or the standard output, that an access log goes to."""

import logging
import os
import sys
from logging.handlers import WatchedFileHandler

from ..access import log_access
from ..access import logger as access_logger
from ..errors import CommandError

logger = logging.getLogger("greensock")


class _Plain(logging.Handler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Say in a line that this one is lost, as on a full disk."""
        logger.warning("cannot write to the access log: %s", sys.exc_info()[1])


class _ToOutput(_Plain, logging.StreamHandler):
    pass


class _ToFile(_Plain, WatchedFileHandler):
    pass


def write_access_log(path: str, format: str) -> None:
    """Write an access log, in processes that are forked from now on as well.

    To ``path``, or to standard output if that is '-'. CommandError if it cannot be written. Each
    line is written, and appended, at once, so that those of several processes do not mix.
    """
    if path == "-" and sys.stdout is None:
        raise CommandError("--access-log - means standard output, which is closed: name a file")
    handler: logging.Handler
    try:
        handler = _ToOutput(sys.stdout) if path == "-" else _ToFile(path, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"cannot write the access log {path!r}: {error.strerror}; "
            f"its directory is {os.path.dirname(os.path.abspath(path))}"
        ) from None
    is_json = format == "json"
    handler.setFormatter(logging.Formatter("%(message)s" if is_json else "%(asctime)s %(message)s"))
    access_logger.addHandler(handler)
    access_logger.setLevel(logging.INFO)
    access_logger.propagate = False  # --log-level is for the other log
    log_access(json=is_json)
