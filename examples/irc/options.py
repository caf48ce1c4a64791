"""The command line, and what it makes of a server."""

import argparse
import re
import ssl
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from greensock.bus import check_url
from greensock.net.addresses import parse_address

from .accounts import Accounts, hashed
from .network import Settings

MODELS = "greenlet", "thread", "prefork"

DEFAULTS = Settings()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"irc: {message}\n")


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says, checked; SystemExit with status 2 if it makes no sense.

    ``settings`` is the Settings it asks for, and ``ssl_context`` None or a function that loads one.
    """
    parser = _new_parser()
    options = parser.parse_args(args)
    _check(parser, options)
    options.settings = Settings(
        network=options.network, motd=options.motd, password=options.password,
        accounts=options.accounts, burst=options.flood[0], rate=options.flood[1],
    )  # fmt: skip
    return options


def _new_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m examples.irc",
        description="A chat server for IRC clients. SIGTERM and Ctrl-C end it in order, SIGHUP has "
        "certificates read again.",
    )
    add = parser.add_argument
    add("--bind", type=_address, default=("127.0.0.1", 6667), metavar="HOST:PORT",
        help="where clients connect (127.0.0.1:6667; 0.0.0.0:6667 lets other machines in)")
    add("--model", choices=MODELS, default="greenlet", help="what runs the connections (greenlet)")
    add("--workers", type=_workers, metavar="N",
        help="processes of --model prefork, each a server of the network ('cores')")
    add("--name", type=_name, default="irc.localhost", help="of the server (irc.localhost)")
    add("--network", type=_word, default=DEFAULTS.network,
        help=f"all servers that share --bus and this name are one network ({DEFAULTS.network})")
    add("--bus", type=_bus, metavar="URL", help="the Redis they share: redis://HOST:PORT/DB")
    add("--tls-cert", metavar="FILE", help="a certificate, with its chain; then clients speak TLS")
    add("--tls-key", metavar="FILE", help="its key, if that is in a file of its own")
    add("--motd", type=_lines, default=[], metavar="FILE", help="the message of the day")
    add("--password", default="", help="what clients have to give with PASS")
    add("--accounts", type=_accounts, metavar="FILE",
        help="who may log in by SASL PLAIN: lines that --hash has made")
    add("--hash", nargs=2, metavar=("NAME", "PASSWORD"), help="print a line for --accounts")
    add("--flood", type=_flood, default=(DEFAULTS.burst, DEFAULTS.rate), metavar="BURST:RATE",
        help="lines a client may send at once, and a second in the long run; a rate of 0 is no "
        f"limit ({DEFAULTS.burst}:{DEFAULTS.rate:g})")
    add("--web", type=_address, metavar="HOST:PORT", help="where browsers find a page to chat with")
    add("--web-origin", action="append", default=[], metavar="ORIGIN",
        help="of a page elsewhere that may chat here as well, as https://chat.example")
    add("--max-clients", type=_count, metavar="N", help="connections at a time, in each process")
    add("--max-per-host", type=_count, metavar="N", help="those from one address")
    return parser  # fmt: skip


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.workers is not None and options.model != "prefork":
        parser.error("--workers are of no use without --model prefork")
    if options.model == "prefork" and options.bus is None:
        parser.error("--model prefork takes --bus redis://..., or its workers would not meet")
    if options.web_origin and not options.web:
        parser.error("--web-origin is of no use without --web")
    if options.tls_key and not options.tls_cert:
        parser.error("--tls-key is of no use without --tls-cert")
    options.ssl_context = None
    if options.tls_cert:
        options.ssl_context = _context_of(options.tls_cert, options.tls_key)
        try:
            options.ssl_context()
        except (OSError, ValueError) as error:
            parser.error(f"--tls-cert {options.tls_cert}: {error}")


def _context_of(cert: str, key: str | None) -> Callable[[], ssl.SSLContext]:
    def load() -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # A key that is locked is an error, and no question to whoever started this.
        context.load_cert_chain(cert, key, password=lambda: b"")
        return context

    return load


def line_for_account(name: str, password: str) -> str:
    """What stands in the file of accounts."""
    return f"{name}:{hashed(password.encode(errors='surrogateescape'))}"


def _checked(what: str) -> Callable[[Callable[[str], Any]], Callable[[str], Any]]:
    """Have argparse say that ``what`` was expected where the function raises ValueError."""

    def decorate(function: Callable[[str], Any]) -> Callable[[str], Any]:
        def convert(text: str) -> Any:
            try:
                return function(text)
            except (ValueError, OSError, ImportError) as error:
                raise argparse.ArgumentTypeError(f"{error}" if not what else
                                                 f"{text!r} is not {what}") from None  # fmt: skip

        return convert

    return decorate


@_checked("")
def _address(text: str) -> tuple[str, int]:
    return parse_address(text)


@_checked("")
def _bus(text: str) -> str:
    if text == "local":
        raise ValueError("a local bus reaches nobody; give that of a Redis, as redis://127.0.0.1/0")
    check_url(text)
    return text


@_checked("a number above 0, or 'cores'")
def _workers(text: str) -> int | str:
    return text if text == "cores" else _positive(text)


@_checked("a number above 0")
def _count(text: str) -> int:
    return _positive(text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


@_checked("BURST:RATE, as 20:2, with a burst of 4 or more")
def _flood(text: str) -> tuple[int, float]:
    burst, _, rate = text.partition(":")
    numbers = int(burst), float(rate)
    if numbers[0] < 4 or not 0 <= numbers[1] < 1e6:  # to register takes four lines
        raise ValueError
    return numbers


@_checked("a host name, as irc.example")
def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)+", text) or len(text) > 50:
        raise ValueError
    return text


@_checked("one word")
def _word(text: str) -> str:
    if not re.fullmatch(r"[\w.-]{1,30}", text):
        raise ValueError
    return text


@_checked("")
def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read().splitlines()


@_checked("")
def _accounts(path: str) -> Accounts:
    with open(path, encoding="utf-8") as file:
        try:
            return Accounts(file.read())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
