"""``greensock ctl``: how the workers of a command are, and orders for them."""

import json
import os
import socket
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from ..errors import CommandError
from ..net import native
from .output import flush, say
from .values import lag

VARIABLE = "GREENSOCK_CONTROL"

# Seconds for an answer. Workers are given two to say how they are.
PATIENCE = 10.0

_DONE = {
    "reload": "the workers are being replaced",
    "drain": "the workers drain, and the command ends with them",
    "add": "there will be one worker more",
    "remove": "there will be one worker less, unless it is the last",
    "reopen": "log files are being opened anew",
    "upgrade": "a new version is being started",
}
_HELP = {
    "status": "say how the workers are",
    "reload": "replace the workers, one by one, as SIGHUP does",
    "drain": "end when the handlers at work have finished, as SIGTERM does",
    "add": "have one worker more",
    "remove": "have one worker less",
    "reopen": "begin log files anew, as SIGUSR1 does",
    "upgrade": "start the program anew and leave to it, as SIGUSR2 does",
    "kick": "cut the connections of a client",
}


def add_options(parser: ArgumentParser) -> None:
    """Have ``parser`` take the commands for workers."""
    parser.add_argument(
        "--control",
        metavar="PATH",
        default=os.environ.get(VARIABLE),
        help=f"what 'greensock serve --control' was given (default: ${VARIABLE})",
    )
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    parsers = {name: commands.add_parser(name, help=text) for name, text in _HELP.items()}
    parsers["status"].add_argument("--json", action="store_true", help="for a program to read")
    parsers["drain"].add_argument(
        "--timeout",
        metavar="SECONDS",
        type=lag,
        help="how long to wait before connections are cut (default: as --drain-timeout says)",
    )
    parsers["kick"].add_argument(
        "peer", metavar="PEER", help="HOST:PORT, or HOST for all connections from there"
    )
    parser.set_defaults(prepare=prepare)


def prepare(options: Namespace) -> Callable[[], int]:
    """Ask, and return the function that says what was answered."""
    if not options.control:
        raise CommandError(
            f"where is the control socket? Give --control PATH, or set {VARIABLE} to it"
        )
    names = ("command", "timeout", "peer")
    request = {name: vars(options)[name] for name in names if vars(options).get(name) is not None}
    answer = _ask(options.control, request)
    if "error" in answer:
        raise CommandError(f"{options.command}: {answer['error']}")
    if options.command == "kick" and not answer["kicked"]:
        raise CommandError(f"nobody is connected from {options.peer}")

    def tell() -> int:
        for line in _lines(options, answer):
            say(line)
        flush()
        return 0

    return tell


def _lines(options: Namespace, answer: dict[str, Any]) -> list[str]:
    if options.command == "kick":
        return [f"cut: {answer['kicked']}"]
    if options.command != "status":
        return [_DONE[options.command]]
    return [json.dumps(answer)] if options.json else _table(answer)


def _table(answer: dict[str, Any]) -> list[str]:
    heads = "worker", "pid", "state", "ready for", "connections", "memory"
    rows = [heads, *map(_row, answer["workers"])]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    goal = "draining" if answer["draining"] else f"{answer['wanted']} wanted"
    return [*lines, f"{goal}, supervisor {answer['supervisor']}"]


def _row(worker: dict[str, Any]) -> tuple[str, ...]:
    seconds, connections, rss = (worker[name] for name in ("seconds", "connections", "rss"))
    return (
        str(worker["index"]),
        str(worker["pid"]),
        worker["state"],
        "-" if seconds is None else f"{seconds:.0f} s",
        "-" if connections is None else str(connections),
        "-" if rss is None else f"{rss / 2**20:.1f} MiB",
    )


def _ask(path: str, request: dict[str, Any]) -> dict[str, Any]:
    try:
        with native.Socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(path)
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as answers:
                line = answers.readline()
    except TimeoutError:
        raise CommandError(f"nobody answers at {path!r} within {PATIENCE:g} seconds") from None
    except (OSError, ValueError) as error:
        raise CommandError(_explained(path, error)) from None
    if not line.endswith(b"\n"):
        raise CommandError(f"the workers at {path!r} have ended without an answer")
    return json.loads(line)


def _explained(path: str, error: OSError | ValueError) -> str:
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        return f"nobody serves with --control {path!r}"
    if isinstance(error, PermissionError):
        return f"the control socket {path!r} is its owner's alone"
    reason = getattr(error, "strerror", None) or error
    return f"cannot ask at {path!r}: {reason}"
