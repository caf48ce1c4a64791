"""The settings of ``greensock serve``: what options say, and where it holds."""

import argparse
import os
import re
import socket
import stat
from contextlib import ExitStack, suppress

import pytest

from greensock import BaseRequestHandler, GreenletTCPServer, PreforkTCPServer
from greensock.cli.endpoints import parse_endpoint
from greensock.cli.locating import locate
from greensock.cli.opening import open_server
from greensock.cli.options import add_settings, flag, settings_of
from greensock.cli.suiting import check_settings_suit
from greensock.cli.values import escaped
from greensock.errors import CommandError
from greensock.interfaces import IHandshakeFailed
from greensock.settings import SETTINGS
from tests import tls
from tests.helpers import MODELS, ask, connect, recorded, rest, served, with_ipv6

pytestmark = pytest.mark.worldless

KINDS = (PreforkTCPServer, GreenletTCPServer)


def settings(*args):
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return settings_of(parser.parse_args(args))


def opened(bind, *args, model="greenlet", handler=None):
    (location,) = locate([parse_endpoint(bind)])
    return open_server(location, handler or echo, model, settings(*args))


def echo(request, client_address, server):
    request.sendall(request.recv(1000))


GIVEN = {
    "--max-connections 5": ("max_connections", 5),
    "--max-connections none": ("max_connections", None),
    "--max-connections-per-peer 2": ("max_connections_per_peer", 2),
    "--accept-rate 0.5": ("accept_rate", 0.5),
    "--accept-rate none": ("accept_rate", None),
    "--accept-rate 1 --accept-burst 7": ("accept_burst", 7),
    "--overload close": ("overload", "close"),
    r"--overload reject --overload-reply 421\r\n": ("overload_reply", b"421\r\n"),
    "--idle-timeout 1.5": ("idle_timeout", 1.5),
    "--request-timeout 60": ("request_timeout", 60.0),
    "--handshake-timeout 5": ("handshake_timeout", 5.0),
    "--send-timeout 1e3": ("send_timeout", 1000.0),
    "--send-timeout none": ("send_timeout", None),
    "--send-buffer 500K": ("send_buffer", 500 << 10),
    "--send-buffer none": ("send_buffer", None),
    "--slow-consumer drop": ("slow_consumer", "drop"),
    "--proxy-protocol optional --trusted-proxies ::1": ("proxy_protocol", "optional"),
    "--proxy-protocol required --trusted-proxies 10.0.0.0/8,unix:": (
        "trusted_proxies",
        ("10.0.0.0/8", "unix:"),
    ),
    "--drain-timeout 0": ("drain_timeout", 0.0),
    "--drain-timeout none": ("drain_timeout", None),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("line", GIVEN)
def test_what_is_given_is_set(line, model):
    name, value = GIVEN[line]
    with opened("tcp://127.0.0.1:0", *line.split(), model=model) as server:
        assert value == getattr(server, name)


GIVEN_GREENLETS = {
    "--reuse-greenlets": ("tcp", "reuse_greenlets", True),
    "--no-reuse-greenlets": ("tcp", "reuse_greenlets", False),
    "--max-workers 7": ("udp", "max_workers", 7),
}


@pytest.mark.parametrize("model", ["greenlet", "prefork"])
@pytest.mark.parametrize("line", GIVEN_GREENLETS)
def test_what_is_given_for_greenlets_is_set(line, model):
    """In a server with worker processes, which have the greenlets, as well."""
    transport, name, value = GIVEN_GREENLETS[line]
    bind, args = f"{transport}://127.0.0.1:0", line.split()
    check_settings_suit(settings(*args), "greenlet", locate([parse_endpoint(bind)]))
    with opened(bind, *args, model=model) as server:
        assert value is getattr(server, name)


GIVEN_WORKERS = {
    "--workers 3": ("workers", 3),
    "--workers cores": ("workers", "cores"),
    "--share listener": ("share", "listener"),
    "--worker-timeout 5": ("worker_timeout", 5.0),
    "--max-requests 7": ("max_requests", 7),
    "--max-requests 7 --max-requests-jitter 2": ("max_requests_jitter", 2),
    "--max-rss 200M": ("max_rss", 200 << 20),
    "--max-rss 1000": ("max_rss", 1000),
    "--max-rss none": ("max_rss", None),
    "--upgrade-timeout 5": ("upgrade_timeout", 5.0),
    "--control ctl": ("control_path", "ctl"),
}


@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"])
@pytest.mark.parametrize("line", GIVEN_WORKERS)
def test_what_is_given_for_workers_is_set(line, bind):
    name, value = GIVEN_WORKERS[line]
    with opened(bind, "--workers", "1", *line.split(), model="prefork") as server:
        assert value == getattr(server, name)


def test_what_is_not_given_is_as_in_every_server():
    assert {} == settings()
    with opened("tcp://127.0.0.1:0") as server:
        assert not SETTINGS.keys() & vars(server).keys()


def test_datagrams_have_what_they_can_have():
    """Beside connections that have the rest."""
    args = "--accept-rate", "5", "--max-connections", "5", "--drain-timeout", "1"
    with opened("udp://127.0.0.1:0", *args) as server:
        found = server.accept_rate, server.max_connections, server.drain_timeout
        assert (5.0, None, 1.0) == found


ESCAPES = {
    "busy": b"busy",
    r"421 busy\r\n": b"421 busy\r\n",
    r"\0\t\\n": b"\0\t\\n",
    r"\x00\xfF": b"\x00\xff",
    "ü": "ü".encode(),
    "": b"",
}


@pytest.mark.parametrize("text", ESCAPES)
def test_escapes_stand_for_bytes(text):
    assert ESCAPES[text] == escaped(text)


@pytest.mark.parametrize("text", ["\\", r"\x", r"\x1", r"\xgg", r"\u1234", "\\\n"])
def test_what_stands_for_nothing_is_told(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"write \\r, \\n, \\t, \\0, \\xHH, or "):
        escaped(f"text {text}")


def test_who_is_one_too_many_is_told_so():
    args = "--max-connections", "1", "--overload", "reject", "--overload-reply", r"busy\r\n"
    with served(opened("tcp://127.0.0.1:0", *args)) as server, connect(server) as first:
        first.sendall(b"")
        assert server.wait_for_connections("==", 1, timeout=30)
        with connect(server) as second:
            assert b"busy\r\n" == rest(second)


def test_who_is_silent_is_cut():
    with served(opened("tcp://127.0.0.1:0", "--idle-timeout", "0.05")) as server:
        with connect(server) as client:
            assert b"" == rest(client)


def name_peer(request, client_address, server):
    request.sendall(client_address[0].encode())


def test_the_client_of_a_proxy_is_known():
    args = "--proxy-protocol", "required", "--trusted-proxies", "10.0.0.0/8,127.0.0.1"
    with served(opened("tcp://127.0.0.1:0", *args, handler=name_peer)) as server:
        assert b"192.0.2.7" == ask(server, b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n")


class Secure(BaseRequestHandler):
    """Begins TLS, with a context of its own."""

    def handle(self):
        with suppress(OSError):
            self.switch_to_tls(tls.server_context())


def test_a_handshake_that_a_handler_has_begun_is_cut():
    """Without a certificate among the options."""
    args = "--handshake-timeout", "0.05"
    with recorded(IHandshakeFailed) as failures:
        with served(opened("tcp://127.0.0.1:0", *args, handler=Secure)) as server:
            with connect(server) as client:
                assert b"" == rest(client)
    assert ["no handshake within 0.05 s"] == [str(failure.error) for failure in failures]


@pytest.mark.parametrize("scheme", ["unix", "unixgram"])
@pytest.mark.parametrize("mode", ["606", "0o606", "0606"])
def test_a_path_has_its_mode_and_owner(tmp_path, scheme, mode):
    path = tmp_path / "socket"
    args = "--unix-mode", mode, "--unix-owner", f"{os.getuid()}:{os.getgid()}"
    with opened(f"{scheme}:{path}", *args):
        status = path.stat()
        expected = 0o606, os.getuid(), os.getgid()
        assert expected == (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


@pytest.mark.parametrize("name", ["--unix-mode", "--unix-owner"])
def test_an_adopted_path_stays_as_it_is(tmp_path, name):
    """And an option for it is an error, if it is for no other."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        locations = locate([parse_endpoint(f"fd://{sock.fileno()}")])
        given = settings(name, "600")
        with pytest.raises(CommandError, match=f"^{name} is for paths that are opened here"):
            check_settings_suit(given, "greenlet", locations)
        check_settings_suit(given, "greenlet", [*locations, *locate([parse_endpoint("unix:x")])])
        with open_server(locations[0], echo, "greenlet", given) as server:
            sock.detach()
            assert server.unix_mode is server.unix_owner is None


@with_ipv6
@pytest.mark.parametrize("scheme", ["tcp", "udp"])
@pytest.mark.parametrize("option", ["--dual-stack", "--no-dual-stack"])
def test_ipv6_takes_ipv4_clients_or_not(scheme, option):
    with opened(f"{scheme}://[::]:0", option) as server:
        v6_only = server.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        assert (option == "--no-dual-stack") == bool(v6_only)


PORTS = 50


@with_ipv6
def test_ipv6_and_ipv4_share_a_port():
    with ExitStack() as stack:
        # What is free for IPv6 may be taken for IPv4 by a client of another test, but not always.
        for _ in range(PORTS):
            server = stack.enter_context(opened("tcp://[::]:0", "--no-dual-stack"))
            port = server.server_address[1]
            with suppress(CommandError), opened(f"tcp://0.0.0.0:{port}") as other:
                break
        assert port == other.server_address[1]
        with served(server):
            assert b"hello" == ask(server, b"hello")


def test_every_setting_of_a_server_has_its_option():
    """But for those that a program sets, and those that are options by another name."""
    others = {"ssl_context", "worker_model", "control_path", "status_address", "ready_lag"}
    parser = argparse.ArgumentParser()
    add_settings(parser)
    text = parser.format_help()
    missing = {name for name in SETTINGS.keys() - others if flag(name) not in text}
    assert set() == missing


def test_help_tells_what_holds_if_they_are_not_given():
    """Where it names a value, that is the one; of a switch, at most the side that holds says so."""
    parser = argparse.ArgumentParser()
    add_settings(parser)
    told = set()
    for action in parser._actions:
        home = next((kind for kind in KINDS if hasattr(kind, action.dest)), None)
        if action.dest not in SETTINGS or home is None:
            continue
        default = getattr(home, action.dest)
        named = re.search(r"\(default: (\S+)\)", action.help)
        if action.nargs == 0:
            said = "which is the default" in action.help
            assert said is (default is action.const), action.help
        elif named:
            assert default == (action.type or str)(named[1]), action.help
        else:
            continue
        told.add(action.dest)
    assert {"reuse_greenlets", "max_workers", "share", "drain_timeout"} <= told
