"""The command line: what is to be served, how, and what is wrong with that."""

import argparse
import os
from ipaddress import ip_address, ip_network

from greensock.status import parse_address

from .rules import Networks, parse_rule
from .users import parse_users

USERS = "PROXY_USERS"

_LEVELS = ("debug", "info", "warning", "error")


class UsageError(Exception):
    """Something that cannot be served as it is asked for."""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(f"{message}; see 'python -m examples.proxy --help'")


def parse(argv=None):
    """What the command line says; UsageError if that makes no sense."""
    options = _parser().parse_args(argv)
    modes = [*options.forward, *options.socks, *options.http]
    if not modes:
        raise UsageError("nothing is to be served: give --forward, --socks or --http")
    if options.workers is not None and len(modes) > 1:
        raise UsageError(
            f"workers share one place, and there are {len(modes)}: start a command for each, or "
            "leave out --workers"
        )
    if options.model == "fork" and (options.forward or options.workers):
        raise UsageError(
            "with --model fork, no process would know which upstreams the others use, and workers "
            "have greenlets or threads: choose another model"
        )
    if options.send_proxy and not options.forward:
        raise UsageError("--send-proxy is for the upstreams of --forward, and there is none")
    options.users = _users_of(options)
    _check_not_open(options)
    return options


def _users_of(options):
    """Those of the file, or of the environment; None if nobody is named."""
    text, place = os.environ.get(USERS), f"in {USERS}"
    if options.users is not None:
        place = f"in {options.users}"
        try:
            with open(options.users, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--users {options.users} cannot be read: {error}") from None
    try:
        return None if text is None else parse_users(text)
    except ValueError as error:
        raise UsageError(f"{place}, {error}") from None


def _check_not_open(options):
    """UsageError if strangers could use it: a proxy that is open to all is soon misused.

    Who comes by way of another proxy comes from anywhere.
    """
    if options.users is not None or options.clients is not None:
        return
    for host, port in [*options.socks, *options.http]:
        if options.proxy_protocol_in or not _is_loopback(host):
            raise UsageError(
                f"anybody could use the proxy at {host}:{port}: name those who may with --users or "
                "--clients, which may be any"
            )


def _is_loopback(host):
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parser():
    parser = _Parser(
        prog="python -m examples.proxy",
        allow_abbrev=False,
        description="Forward TCP to upstreams, and serve SOCKS 5 and HTTP proxying, until Ctrl-C "
        "or SIGTERM; then take nobody more and wait for those at work. BIND is PORT for 127.0.0.1, "
        "HOST:PORT or [HOST]:PORT; 0.0.0.0 and [::] are all addresses of this machine.",
        epilog="example: python -m examples.proxy --forward 0.0.0.0:80=10.0.0.1:8080,10.0.0.2:8080 "
        "--socks 1080 --status 9100",
    )
    _add_modes(parser)
    _add_access(parser)
    _add_limits(parser)
    return parser


def _add_modes(parser):
    group = parser.add_argument_group("what is served; each may be given several times")

    def add(name, **how):
        group.add_argument(name, action="append", default=[], **how)

    add(
        "--forward",
        metavar="BIND=HOST:PORT,...",
        type=_forward,
        help="forward TCP to whichever upstream has the fewest connections",
    )
    add("--socks", metavar="BIND", type=_address, help="SOCKS 5: CONNECT, to names and addresses")
    add("--http", metavar="BIND", type=_address, help="HTTP: CONNECT, and http:// requests")
    group = parser.add_argument_group("how")
    group.add_argument("--model", choices=("greenlet", "thread", "fork"), default="greenlet",
                       help="what runs each connection (default: greenlet)")
    group.add_argument("--workers", metavar="N", type=_count,
                       help="processes that share the one place, with a greenlet or a thread for "
                       "each connection")
    group.add_argument("--check", metavar="SECONDS", type=_limit, default=10.0,
                       help="how often upstreams in use are checked, or 'none' (default: 10)")
    group.add_argument("--check-http", metavar="PATH", type=_path,
                       help="ask for it over HTTP, instead of merely connecting")
    group.add_argument("--eject-after", metavar="N", type=_count_or_none, default=3,
                       help="failures in a row, or 'none' (default: 3)")
    group.add_argument("--proxy-protocol-in", metavar="NETWORKS", type=_names,
                       help="proxies, as 10.0.0.0/8,::1, that begin every connection with a PROXY "
                       "header, and nobody else comes")
    group.add_argument("--send-proxy", choices=("v1", "v2"),
                       help="begin every connection to an upstream with a PROXY header")
    group.add_argument("--status", metavar="[HOST:]PORT", type=_address,
                       help="serve health, metrics and a page with live plots over HTTP")
    group.add_argument("--log-level", choices=_LEVELS, default="warning",
                       help="info has a line for every connection (default: warning)")


def _add_access(parser):
    group = parser.add_argument_group(
        "who may use it, and to reach what",
        "Rules are about the addresses that names lead to. The first that fits decides. Without "
        "one all may be reached but loopback, link-local, multicast and such addresses, which only "
        "a rule for these alone allows, and the proxy itself. The upstreams of --forward need no "
        "rule.",
    )
    for name, allows, text in (
        ("--allow", True, "as 10.0.0.0/8, 127.0.0.1:8000-8999, [2001:db8::/32]:80 or any:443"),
        ("--deny", False, "as for --allow"),
    ):
        group.add_argument(name, metavar="NETWORK[:PORTS]", dest="rules", action="append",
                           default=[], type=_rule(allows), help=text)
    group.add_argument("--clients", metavar="NETWORKS", type=_networks,
                       help="where clients may come from, as 192.168.0.0/16,::1, or any")
    group.add_argument("--users", metavar="FILE",
                       help="who may use SOCKS and HTTP: a line NAME:PASSWORD for each; without "
                       f"it, the environment's {USERS} says so")


def _add_limits(parser):
    group = parser.add_argument_group("limits; 'none' is no limit")
    for name, kind, default, text in (
        ("--max-connections", _count_or_none, 10_000, "at each place, or in each worker"),
        ("--max-connections-per-peer", _count_or_none, None, "from one address"),
        ("--accept-rate", _limit, None, "connections a second"),
        ("--patience", _limit, 10.0, "seconds for a client to say what it wants"),
        ("--connect-timeout", _limit, 10.0, "seconds for a server to answer"),
        ("--silence", _limit, 600.0, "seconds without a byte either way"),
        ("--send-timeout", _limit, 60.0, "seconds for a client that does not read"),
        ("--request-timeout", _limit, None, "seconds for a whole connection"),
        ("--drain-timeout", _seconds, 30.0, "seconds to wait for those at work in the end"),
    ):
        shown = "none" if default is None else f"{default:g}"
        group.add_argument(name, metavar="N", type=kind, default=default,
                           help=f"{text} (default: {shown})")


def _wrong(text, expected):
    return argparse.ArgumentTypeError(f"{text!r} is no {expected}")


def _forward(text):
    bind, equals, upstreams = text.partition("=")
    if not equals:
        raise _wrong(text, "forwarding: write BIND=HOST:PORT,HOST:PORT, as in 80=10.0.0.1:8080")
    return _address(bind), [_upstream(each) for each in upstreams.split(",")]


def _upstream(text):
    host, port = _address(text)
    if text.startswith(":") or ":" not in text or not port:
        raise _wrong(text, "upstream: write HOST:PORT or [HOST]:PORT")
    return host, port


def _address(text):
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _rule(allows):
    def parse(text):
        try:
            return parse_rule(text, allows)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def _names(text):
    if "any" in text.split(","):
        raise argparse.ArgumentTypeError("'any' could then claim to be anybody: name the proxies")
    _networks(text)
    return text.split(",")


def _networks(text):
    try:
        return Networks(None if each == "any" else ip_network(each) for each in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{error}: write networks or addresses with commas between, as 10.0.0.0/8,::1"
        ) from None


def _path(text):
    if not text.startswith("/") or not all(0x20 < ord(each) < 0x7F for each in text):
        raise _wrong(text, "path: write what a request asks for, as /health")
    return text


def _count(text):
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 1 << 31):
        raise _wrong(text, "whole number above 0")
    return int(text)


def _count_or_none(text):
    return None if text == "none" else _count(text)


def _seconds(text):
    try:
        value = None if text == "none" else float(text)
        if value is None or 0 <= value < 1e9:
            return value
    except ValueError:
        pass
    raise _wrong(text, "number, 0 or more, nor 'none'")


def _limit(text):
    value = _seconds(text)
    if value == 0:
        raise _wrong(text, "number above 0, nor 'none'")
    return value
