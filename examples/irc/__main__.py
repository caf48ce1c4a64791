"""A chat server for IRC clients.

    python -m examples.irc --bind 127.0.0.1:6667
"""

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from greensock.net.addresses import parse_address

from .server import Client, hall_class

MODELS = "greenlet", "thread", "prefork"


class _Parser(ArgumentParser):
    def error(self, message: str) -> None:
        self.exit(2, f"irc: {message}\n")


def _options(args: Sequence[str] | None) -> ArgumentParser:
    parser = _Parser(prog="python -m examples.irc", description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="greenlet")
    parser.add_argument("--bind", default="127.0.0.1:6667", metavar="HOST:PORT")
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; the exit status."""
    options = _options(args)
    server = hall_class(options.model)(parse_address(options.bind), Client)
    with server:
        for number in signal.SIGINT, signal.SIGTERM:
            signal.signal(number, lambda *_: server.drain())
        host, port = server.server_address[:2]
        print(f"irc: listening on {host}:{port}, model {options.model}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
