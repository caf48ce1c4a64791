"""The ``greensock`` command.

``greensock serve`` puts a handler behind sockets, ``greensock run`` runs a program that knows
nothing of greensock with its threading servers made green, and ``greensock ctl`` asks and tells the
workers of a command that serves. Whatever is wrong with the request is
found out before anything starts: it costs one line on standard error and exit status 2.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .. import MODELS, __version__
from ..errors import CommandError, EndpointError
from . import ctl, serve
from .endpoints import FORMS
from .options import add_ready_lag, add_settings
from .telemetry import add_telemetry_options

# What --workers is for has no name of its own here.
_MODELS = tuple(model for model in MODELS if model != "prefork")

LEVELS = ("debug", "info", "warning", "error", "critical")


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command line, ``sys.argv`` by default; return the exit status."""
    try:
        options = _parser().parse_args(argv)
        act = options.prepare(options)
    except (CommandError, EndpointError) as error:
        print(f"greensock: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # as a shell tells of it
    return act()


class _Unread(argparse.HelpFormatter):
    """Formats as argparse does with every argument that is added, whether or not it is read.

    To find out the width of the terminal would import shutil, and all compressors with it.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


class _Parser(argparse.ArgumentParser):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(formatter_class=_Unread, **kwargs)

    def format_help(self) -> str:
        self.formatter_class = argparse.HelpFormatter
        return super().format_help()

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        # Told here, where it is known whose they are.
        options, unknown = super().parse_known_args(*args, **kwargs)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message}; see '{self.prog} --help'")


def _parser() -> _Parser:
    parser = _Parser(
        prog="greensock",
        allow_abbrev=False,
        description="Network servers with the API of socketserver, on gevent's hub.",
    )
    parser.add_argument("--version", action="version", version=f"greensock {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_run(commands)
    _add_ctl(commands)
    return parser


def _add_serve(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser(
        "serve",
        help="serve a handler",
        description="Serve a handler until Ctrl-C or SIGTERM: then accept nobody more, wait for "
        "the handlers at work, and exit with status 0. A second signal ends at once.",
        epilog="example: greensock serve chat:Member --bind tcp://[::]:9000 --bind unix:chat.sock",
    )
    parser.add_argument(
        "handler",
        metavar="MODULE:HANDLER",
        help="a request handler class, or a function of (request, client_address, server) or of "
        "(socket, address); modules in the current directory are found",
    )
    parser.add_argument(
        "--bind",
        metavar="ENDPOINT",
        action="append",
        help=f"where to listen: {FORMS}; unix:@NAME is an abstract name, fd://N a socket that is "
        "open already, systemd:NAME one that systemd passes, systemd: the first of those; may be "
        "repeated (default: tcp://127.0.0.1:9000)",
    )
    parser.add_argument(
        "--model",
        type=_model,
        choices=_MODELS,
        default="greenlet",
        help="what runs each request: a greenlet, an OS thread, a forked process, or the server "
        "itself, one after the other (default: greenlet); with --workers, in each of them, "
        "greenlet or thread",
    )
    parser.add_argument(
        "--log-level",
        choices=LEVELS,
        default="warning",
        help="what is worth a line on standard error (default: warning)",
    )
    add_settings(parser)
    add_ready_lag(parser)
    add_telemetry_options(parser)
    parser.set_defaults(prepare=serve.prepare)


def _model(name: str) -> str:
    if name == "prefork":
        raise argparse.ArgumentTypeError("worker processes come with --workers cores or a number")
    return name


def _add_run(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser(
        "run",
        help="run a program with its threading servers made green",
        usage="greensock run [-h] (SCRIPT | -m MODULE) [ARGS ...]",
        description="Run an unmodified program as python would, monkey-patched by gevent, with a "
        "greenlet for every request where socketserver.ThreadingMixIn would start a thread.",
        epilog="example: greensock run -m http.server 8000",
    )
    parser.add_argument(
        "-m",
        dest="is_module",
        action="store_true",
        help="the program is a module, found as python -m does",
    )
    parser.add_argument(
        "program",
        metavar="SCRIPT",
        help="a file, or a folder or zip file with a __main__.py",
    )
    rest = parser.add_argument(
        "args", metavar="ARGS", nargs=argparse.REMAINDER, help="all that follows is for the program"
    )
    rest.required = False  # it may be empty, but argparse would ask for it
    parser.set_defaults(prepare=_prepare_run)


def _prepare_run(options: argparse.Namespace) -> Callable[[], int]:
    from . import run  # it imports what a supervisor would keep for nothing

    return run.prepare(options)


def _add_ctl(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser(
        "ctl",
        help="ask how the workers of a command are, and give them orders",
        description="Ask how the workers of 'greensock serve --workers N --control PATH' are, and "
        "give them orders.",
        epilog="example: greensock ctl --control chat.ctl kick 203.0.113.9",
    )
    ctl.add_options(parser)
