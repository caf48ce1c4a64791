"""``greensock serve`` as a service of systemd, whose part the tests play."""

import configparser
import re
import shlex
import signal
import socket
from contextlib import ExitStack, contextmanager

import pytest

from greensock.cli import _parser
from greensock.cli.endpoints import parse_endpoint
from greensock.cli.options import settings_of
from tests.commands import ROOT, running

UNITS = ROOT / "examples" / "systemd"

# What systemd does between fork and exec: the sockets become descriptors 3, 4 and so on.
PASS = """
import fcntl, os
for number, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in {fds}], 3):
    os.dup2(fd, number)
    os.close(fd)
for name in {own}:
    os.environ[name] = str(os.getpid())
"""

HANDLERS = """
import os, socketserver

def where(request, client_address, server):
    if isinstance(request, tuple):
        request[1].sendto(b"datagram", client_address)
    else:
        request.sendall(repr(server.server_address).encode())

def left(sock, address):
    names = "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"
    inherited = [fd for fd in (3, 4) if os.get_inheritable(fd)]
    sock.sendall(repr(([name for name in names if name in os.environ], inherited)).encode())

class Held(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"ready")
        self.rfile.read()
"""


@pytest.fixture
def here(tmp_path):
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


@pytest.fixture
def ear(tmp_path):
    """Where systemd hears what services say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.settimeout(30)
        ear.bind(str(tmp_path / "notify"))
        yield ear


def told(ear):
    """The next message, without what the watchdog hears."""
    while (message := ear.recv(1000).decode()) == "WATCHDOG=1":
        pass
    return message.split("\n")


@contextmanager
def service(here, handler, sockets, *options, own=("LISTEN_PID",), fresh=False, **variables):
    """A command that was started by systemd; ``own`` variables have the number of its process."""
    fds = [sock.fileno() for sock in sockets]
    with running(
        "serve",
        f"handlers:{handler}",
        *options,
        cwd=here,
        measured=True,
        environ={"LISTEN_FDS": str(len(fds))} | variables,
        fresh=fresh,
        first=PASS.format(fds=fds, own=own),
        pass_fds=fds,
    ) as command:
        yield command


@pytest.fixture
def listeners():
    """Two that listen and one for datagrams."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        found.append(stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        found[-1].bind(("127.0.0.1", 0))
        yield found


def ask(listener):
    with socket.create_connection(listener.getsockname(), timeout=30) as client:
        return b"".join(iter(lambda: client.recv(1000), b"")).decode()


@pytest.mark.worldless
def test_sockets_are_served_by_their_names(here, listeners):
    """Of two with one name each is served by its own, and any kind will do."""
    binds = "--bind", "systemd:web", "--bind", "systemd:", "--bind", "systemd:web"
    names = {"LISTEN_FDNAMES": "web:log:web"}
    with service(here, "where", listeners, *binds, fresh=True, **names) as command:
        web, log, other = listeners[0], listeners[1], listeners[2]
        for listener, bind in (web, "systemd:web"), (log, "systemd:"), (other, "systemd:web"):
            scheme = "udp" if listener is other else "tcp"
            place = "{}://{}:{} ({})".format(scheme, *listener.getsockname(), bind)
            assert f"greensock: serving handlers:where on {place}, model greenlet" == command.line()
        assert repr(web.getsockname()) == ask(web)
        assert repr(log.getsockname()) == ask(log)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(30)
            client.sendto(b"who?", other.getsockname())
            assert b"datagram" == client.recv(100)
        command.signal(signal.SIGTERM)
        assert (0, "", "") == command.end()


@pytest.mark.worldless
def test_programs_started_later_neither_have_nor_hear_of_the_sockets(here, listeners):
    with service(here, "left", listeners[:2], *["--bind", "systemd:"] * 2) as command:
        command.line()
        assert "([], [])" == ask(listeners[0])


@pytest.mark.worldless
def test_a_socket_that_has_no_server_is_told_of(here, listeners):
    bind = "--bind", "systemd:"
    names = {"LISTEN_FDNAMES": "web:admin"}
    with service(here, "where", listeners[:2], *bind, **names) as command:
        command.line()
        line = command.complaint("systemd has passed 'admin' (descriptor 4), which has no server")
        assert line.endswith("add --bind systemd:admin\n")
        assert repr(listeners[0].getsockname()) == ask(listeners[0])


COMPLAINTS = {
    "another name": (
        {"LISTEN_FDNAMES": "web:admin"},
        "cannot listen at systemd:api: systemd has passed 'web', 'admin'; FileDescriptorName= in a "
        ".socket unit is the name",
    ),
    "another process": (
        {"own": (), "LISTEN_PID": "1"},
        "cannot listen at systemd:api: systemd has passed no socket, or no more, to this process: "
        "start the .socket unit, or try it with systemd-socket-activate",
    ),
    "a contradiction": (
        {"LISTEN_FDNAMES": "web"},
        "what systemd has passed is not understood: LISTEN_FDS is '2', and LISTEN_FDNAMES has 1: "
        "'web'",
    ),
}


@pytest.mark.worldless
@pytest.mark.parametrize("case", COMPLAINTS)
def test_what_systemd_did_not_pass_is_told_in_one_line(here, listeners, case):
    variables, text = COMPLAINTS[case]
    bind = "--bind", "systemd:api"
    with service(here, "where", listeners[:2], *bind, **variables) as command:
        assert (2, "", f"greensock: {text}\n") == command.end()


@pytest.mark.worldless
def test_systemd_hears_when_it_is_ready_reads_its_files_again_and_ends(here, listeners, ear):
    """And that its hub turns, all the while."""
    (listener, *_) = listeners
    variables = {"NOTIFY_SOCKET": ear.getsockname(), "WATCHDOG_USEC": "20000"}
    variables["own"] = "LISTEN_PID", "WATCHDOG_PID"
    bind = "--bind", "systemd:"
    with service(here, "Held", [listener], *bind, **variables) as command:
        place = "tcp://{}:{}".format(*listener.getsockname())
        expected = ["READY=1", f"STATUS=serving handlers:Held on {place}"]
        assert expected == told(ear)
        assert b"WATCHDOG=1" == ear.recv(100)
        with socket.create_connection(listener.getsockname(), timeout=30) as client:
            assert b"ready" == client.recv(5, socket.MSG_WAITALL)
            command.signal(signal.SIGHUP)
            state, when = told(ear)
            assert "RELOADING=1" == state
            assert re.fullmatch(r"MONOTONIC_USEC=\d+", when)
            assert ["READY=1"] == told(ear)
            command.signal(signal.SIGTERM)
            assert ["STOPPING=1", "STATUS=waiting for the handlers at work"] == told(ear)
            client.shutdown(socket.SHUT_WR)
        assert 0 == command.end()[0]


def unit(name):
    """The sections of a unit file; a name that may stand more than once has its last value."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string((UNITS / name).read_text().replace("\\\n", " "))
    return parser


SERVICES = sorted(path.name for path in UNITS.glob("*.service"))


def test_there_are_units():
    assert ["chat.service"] == SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_the_command_of_a_unit_is_one(name):
    """Its options are right, its handler is there, and its socket is the one of its .socket."""
    program, *args = shlex.split(unit(name)["Service"]["ExecStart"])
    assert program.endswith("/.venv/bin/greensock")
    options = _parser().parse_args(args)
    endpoints = [parse_endpoint(text) for text in options.bind]
    socket_unit = unit(name.replace(".service", ".socket"))["Socket"]
    assert [("systemd", socket_unit["FileDescriptorName"])] == [
        (endpoint.transport, endpoint.address) for endpoint in endpoints
    ]
    module, _, handler = options.handler.partition(":")
    assert f"class {handler}(" in (ROOT / f"{module.replace('.', '/')}.py").read_text()
    assert settings_of(options)["drain_timeout"] < float(unit(name)["Service"]["TimeoutStopSec"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_hardened_and_watched(name):
    expected = {
        "Type": "notify",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "WatchdogSec": "30",
        "CapabilityBoundingSet": "",
    }
    section = unit(name)["Service"]
    assert expected == {key: section[key] for key in expected}


def test_every_socket_unit_has_its_service():
    assert SERVICES == sorted(path.with_suffix(".service").name for path in UNITS.glob("*.socket"))
