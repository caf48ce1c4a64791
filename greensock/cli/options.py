"""The options of ``greensock serve`` that are settings of its servers, and what they are set to."""

from argparse import SUPPRESS, ArgumentParser, Namespace
from typing import Any

from ..errors import CommandError
from ..net.proxy_parser import load_library
from ..settings import OVERLOAD, PROXY_PROTOCOL, SETTINGS, SLOW_CONSUMER
from .messaging import add_bus
from .preforking import add_worker_settings, check_worker_settings
from .values import (
    count,
    escaped,
    file_mode,
    lag,
    limit,
    networks,
    owner,
    rate,
    seconds,
    size,
    some,
)


def flag(setting: str) -> str:
    """What a setting is called on the command line."""
    return "--" + setting.replace("_", "-")


def add_settings(parser: ArgumentParser) -> None:
    """Have ``parser`` take the settings; those that are not given are not in what it returns."""
    _add_limits(parser)
    _add_deadlines(parser)
    _add_tls(parser)
    _add_proxies(parser)
    _add_sockets(parser)
    _add_greenlets(parser)
    add_bus(parser)
    add_worker_settings(parser)


def _add(group: Any, setting: str, metavar: str | None, text: str, **how: Any) -> None:
    group.add_argument(flag(setting), metavar=metavar, default=SUPPRESS, help=text, **how)


def _add_switch(group: Any, setting: str, on: str, off: str) -> None:
    yes = flag(setting)
    no = yes.replace("--", "--no-")
    for name, action, text in (yes, "store_true", on), (no, "store_false", off):
        group.add_argument(name, action=action, dest=setting, default=SUPPRESS, help=text)


def _add_limits(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "limits",
        "For connections; --accept-rate and --accept-burst are for datagrams, too. 'none' is no "
        "limit, and the default.",
    )
    _add(group, "max_connections", "N", "connections at a time", type=count)
    _add(
        group,
        "max_connections_per_peer",
        "N",
        "connections at a time from one IP address",
        type=count,
    )
    _add(group, "accept_rate", "N", "connections or datagrams per second", type=rate)
    _add(
        group,
        "accept_burst",
        "N",
        "how many of them at once after a quiet time (default: as many as in one second)",
        type=count,
    )
    _add(
        group,
        "overload",
        None,
        "whether clients at --max-connections wait, are closed, or are "
        "sent --overload-reply before (default: backlog)",
        choices=OVERLOAD,
    )
    _add(
        group,
        "overload_reply",
        "TEXT",
        r"for --overload reject; \r, \n, \t, \0, \\ and \xHH stand "
        "for bytes",
        type=escaped,
    )


def _add_deadlines(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "deadlines",
        "For connections; --drain-timeout is for datagrams, too. Who takes longer is cut. 'none' "
        "is no limit, and the default where no other is named.",
    )
    _add(group, "idle_timeout", "SECONDS", "without a byte either way", type=limit)
    _add(group, "request_timeout", "SECONDS", "for the whole handler", type=limit)
    _add(group, "handshake_timeout", "SECONDS", "for the TLS handshake (default: 10)", type=limit)
    _add(group, "send_timeout", "SECONDS", "for a peer that does not read", type=limit)
    _add(
        group,
        "send_buffer",
        "SIZE",
        "bytes that may wait for one of those to whom handlers post, as 500K or 1M (default: 1M)",
        type=size,
    )
    _add(
        group,
        "slow_consumer",
        None,
        "whether a connection for which more would wait is cut, or the message left out "
        "(default: close)",
        choices=SLOW_CONSUMER,
    )
    _add(
        group,
        "drain_timeout",
        "SECONDS",
        "how long the end may wait for handlers at work before "
        "it cuts their connections (default: 30)",
        type=seconds,
    )


def add_ready_lag(parser: ArgumentParser) -> None:
    """Have ``parser`` take --ready-lag."""
    parser.add_argument(
        "--ready-lag",
        dest="lag",
        metavar="SECONDS",
        type=lag,
        default=0.0,
        help="how long to go on taking clients after the signal that ends it, with /readyz of "
        "--status telling that it is not ready: for a balancer that needs time to notice, as that "
        "of Kubernetes does (default: 0)",
    )


def _add_tls(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "TLS", "For connections. The files are in PEM form, and SIGHUP has them read again."
    )
    for name, text in (
        ("--tls-cert", "the certificate, and those that lead from it to a known authority"),
        ("--tls-key", "its private key (default: it is in --tls-cert)"),
        ("--tls-client-ca", "the authorities of clients, who must then show a certificate"),
    ):
        group.add_argument(name, metavar="FILE", help=text)
    _add_switch(
        group,
        "implicit_tls",
        "begin every connection with the handshake, which is the default",
        "leave it to the handler to begin it, by switch_to_tls(), as STARTTLS wants it",
    )


def _add_proxies(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "proxies", "For connections that a proxy or balancer passes on, with a PROXY header."
    )
    _add(
        group,
        "proxy_protocol",
        None,
        "whether each begins with a header of version 1 or 2, or those of --trusted-proxies may "
        "(default: none does)",
        choices=PROXY_PROTOCOL,
    )
    _add(
        group,
        "trusted_proxies",
        "NETWORKS",
        "who may tell of clients, as 10.0.0.0/8,::1 or, for peers on Unix sockets, unix:",
        type=networks,
    )


def _add_sockets(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "sockets", "For those that are opened here; fd:// and systemd: ones stay as they are."
    )
    _add(
        group, "unix_mode", "MODE", "of Unix paths, as 660 (default: by the umask)", type=file_mode
    )
    _add(
        group,
        "unix_owner",
        "OWNER",
        "of Unix paths: USER, USER:GROUP, :GROUP, or USER: for the user's login group",
        type=owner,
    )
    _add_switch(
        group,
        "dual_stack",
        "have [::] and other IPv6 places take IPv4 clients, too",
        "have them not (default: as the system is set)",
    )


def _add_greenlets(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("greenlets", "For --model greenlet.")
    _add_switch(
        group,
        "reuse_greenlets",
        "let a greenlet handle one connection after another, which is the default, and halves the "
        "cost of short ones",
        "have a new one for each",
    )
    _add(
        group,
        "max_workers",
        "N",
        "greenlets that handle datagrams, at most; while all of them wait, datagrams wait in the "
        "system's queue (default: 1000)",
        type=some,
    )


def settings_of(options: Namespace) -> dict[str, Any]:
    """The settings that were given, by name; CommandError if some make no sense together."""
    names = SETTINGS.keys() | {"bus"}
    settings = {name: value for name, value in vars(options).items() if name in names}
    check_worker_settings(options, settings)
    _check_proxies(settings)
    has_tls = options.tls_cert is not None
    for name in "tls_key", "tls_client_ca":
        if getattr(options, name) is not None and not has_tls:
            raise CommandError(f"{flag(name)} is of no use without --tls-cert")
    if "implicit_tls" in settings and not has_tls:
        raise CommandError("--[no-]implicit-tls is of no use without --tls-cert")
    if "accept_burst" in settings and settings.get("accept_rate") is None:
        raise CommandError("--accept-burst is of no use without --accept-rate")
    if "overload_reply" in settings:
        if settings.get("overload") != "reject":
            raise CommandError("--overload-reply is sent with --overload reject, and only then")
        if has_tls and settings.get("implicit_tls", True):
            raise CommandError(
                "--overload-reply is not sent under TLS, because nobody shakes hands with those "
                "who are turned away: leave it out, or --tls-cert"
            )
    if has_tls:
        from .certificates import context_loader  # which imports ssl

        load = context_loader(options.tls_cert, options.tls_key, options.tls_client_ca)
        load()  # so that what is wrong is told before anything else happens
        settings["ssl_context"] = load
    return settings


def _check_proxies(settings: dict[str, Any]) -> None:
    if ("proxy_protocol" in settings) != ("trusted_proxies" in settings):
        raise CommandError(
            "--proxy-protocol and --trusted-proxies are of no use without each other"
        )
    if "proxy_protocol" in settings:
        try:
            load_library()
        except ImportError as error:
            raise CommandError(str(error).replace("proxy_protocol", "--proxy-protocol")) from None
