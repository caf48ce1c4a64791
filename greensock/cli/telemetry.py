"""What a command tells of itself: its access log and its status server."""

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import CommandError
from ..servers import TCPServer
from .output import say

if TYPE_CHECKING:
    from ..status import Status


def add_telemetry_options(parser: ArgumentParser) -> None:
    """Let a command take the options that Telemetry goes by."""
    parser.add_argument(
        "--access-log",
        metavar="FILE",
        help="append a line for every connection that has ended to FILE, '-' for standard output; "
        "the file may be renamed at any time, and a new one is begun",
    )
    parser.add_argument(
        "--access-log-format",
        choices=("text", "json"),
        default="text",
        help="a line of words, or a JSON object a line (default: text)",
    )
    parser.add_argument(
        "--status",
        metavar="[HOST:]PORT",
        help="serve health, metrics, connections and a page with live plots over HTTP, to whoever "
        "can connect; without HOST to this machine alone",
    )


class Telemetry:
    """Both of them, where they are asked for. CommandError if one cannot be had.

    Used in a ``with`` statement, it serves meanwhile, on this thread's hub.
    """

    def __init__(self, options: Namespace, servers: Sequence[TCPServer]) -> None:
        self._status = None if options.status is None else _open_status(options.status, servers)
        try:
            if options.access_log is not None:
                begin_access_log(options)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Telemetry":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def announce(self) -> None:
        """Say where the status is served."""
        if self._status is not None:
            say(f"greensock: status at {self._status.url}")

    def is_about_to_end(self) -> None:
        """Have those who ask whether all is ready hear that it is not."""
        if self._status is not None:
            self._status.is_ready = False

    def close(self) -> None:
        """Tell nobody anything any more."""
        if self._status is not None:
            self._status.server_close()


def _open_status(text: str, servers: Sequence[TCPServer]) -> "Status":
    # Not before: it imports http.server, and a program that is run shall get one of its own.
    from ..status import Status, parse_address

    with told_of_status(text):
        return Status(parse_address(text), servers)


@contextmanager
def told_of_status(text: str) -> Iterator[None]:
    """Meanwhile errors are of the status server that --status wants at ``text``: CommandError."""
    try:
        yield
    except ValueError as error:
        raise CommandError(f"--status: {error}") from None
    except OSError as error:
        raise CommandError(
            f"cannot serve the status at {text}: {error.strerror or error}; choose another --status"
        ) from None


def begin_access_log(options: Namespace) -> None:
    """Write the access log that is asked for; CommandError if it cannot be written."""
    from .access_file import write_access_log  # it imports what few commands need

    write_access_log(options.access_log, options.access_log_format)


def begin_log(options: Namespace) -> None:
    """Have what --log-level lets through written to standard error."""
    logging.basicConfig(
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
