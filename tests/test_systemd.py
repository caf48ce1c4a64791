"""What systemd passes, and what it is told; the tests play its part."""

import os
import socket
import time
from contextlib import contextmanager

import gevent
import gevent.event
import gevent.socket
import pytest
from gevent.hub import getcurrent

from greensock.net import native, systemd
from greensock.net.systemd import Passed, Watchdog, listen_fds, notify, notify_reloading
from tests.helpers import PATIENCE, forks_beside_threads

# In place of 3, which is taken, and beyond all that are open.
FIRST = 900

VARIABLES = "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """None of the variables is set, and none stays."""
    for name in (*VARIABLES, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def passed(monkeypatch):
    """A function that passes so many sockets, and sets the variables."""
    held = []

    def pass_on(count, **variables):
        monkeypatch.setattr(systemd, "_FIRST", FIRST)
        for fd in range(FIRST, FIRST + count):
            with native.Socket() as sock:
                os.dup2(sock.fileno(), fd, inheritable=True)
            held.append(fd)
        given = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count)} | variables
        for name, value in given.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    yield pass_on
    for fd in held:
        native.close(fd)


def variables_left():
    return [name for name in VARIABLES if name in os.environ]


def test_sockets_are_taken_once_and_kept_from_other_programs(passed):
    passed(2, LISTEN_FDNAMES="web:admin")
    assert [Passed("web", FIRST), Passed("admin", FIRST + 1)] == listen_fds()
    assert [False, False] == [os.get_inheritable(fd) for fd in (FIRST, FIRST + 1)]
    assert [] == variables_left()
    assert [] == listen_fds()


def test_sockets_without_names_are_unknown(passed):
    passed(2)
    assert [("unknown", FIRST), ("unknown", FIRST + 1)] == listen_fds()


@pytest.mark.parametrize("pid", ["1", "", "soon", None])
def test_sockets_of_another_process_are_left_alone(passed, pid):
    """As when a service has started a program that knows of systemd, too."""
    passed(1, LISTEN_PID=pid)
    assert [] == listen_fds()
    assert os.get_inheritable(FIRST)
    assert [] == variables_left()


def test_without_systemd_there_are_none():
    assert [] == listen_fds()


CONTRADICTIONS = [
    ({"LISTEN_FDS": "two"}, "LISTEN_FDS is 'two'; it must be how many"),
    ({"LISTEN_FDS": "-1"}, "LISTEN_FDS is '-1'; it must be how many"),
    ({"LISTEN_FDS": ""}, "LISTEN_FDS is ''; it must be how many"),
    ({"LISTEN_FDNAMES": "a:b"}, "LISTEN_FDS is '1', and LISTEN_FDNAMES has 2: 'a:b'"),
    ({"LISTEN_FDNAMES": ""}, "LISTEN_FDS is '1', and LISTEN_FDNAMES has 0: ''"),
]


@pytest.mark.parametrize("variables, text", CONTRADICTIONS)
def test_variables_that_contradict_themselves_are_told(passed, variables, text):
    passed(1, **variables)
    with pytest.raises(ValueError, match=text):
        listen_fds()


def test_a_descriptor_that_is_not_open_is_told(passed):
    passed(1, LISTEN_FDS="2")
    with pytest.raises(ValueError, match="LISTEN_FDS is '2', but descriptor 901 is not open"):
        listen_fds()


@contextmanager
def listening(monkeypatch, address):
    """systemd's ear."""
    with gevent.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.settimeout(PATIENCE)
        ear.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
        yield ear


@pytest.fixture(params=["path", "abstract"])
def ear(request, tmp_path, monkeypatch):
    name = f"\0greensock-test-notify-{os.getpid()}"
    address = name if request.param == "abstract" else str(tmp_path / "notify")
    with listening(monkeypatch, address) as ear:
        yield ear


def test_a_message_arrives_whole(ear):
    assert notify("READY=1", "STATUS=serving ü")
    assert "READY=1\nSTATUS=serving ü".encode() == ear.recv(1000)


def test_a_line_break_in_a_status_begins_no_other_assignment(ear):
    notify("STATUS=one\nSTOPPING=1")
    assert b"STATUS=one STOPPING=1" == ear.recv(1000)


def test_reloading_comes_with_its_time(ear):
    """As Type=notify-reload asks for."""
    before = time.monotonic_ns() // 1000
    assert notify_reloading()
    state, when = ear.recv(1000).decode().split("\n")
    assert "RELOADING=1" == state
    name, _, microseconds = when.partition("=")
    assert "MONOTONIC_USEC" == name
    assert before <= int(microseconds) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:2:1234", "/no/such/socket"])
def test_where_nobody_listens_nothing_is_sent(monkeypatch, address):
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify("READY=1")


def test_a_queue_that_is_full_keeps_nobody_waiting(ear):
    while notify("WATCHDOG=1", timeout=0):
        pass
    assert b"WATCHDOG=1" == ear.recv(1000)


@pytest.mark.parametrize(
    "microseconds, pid, expected",
    [
        ("30000000", None, 30.0),
        ("1500000", str(os.getpid()), 1.5),
        ("30000000", "1", None),
        ("0", None, None),
        ("", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_waits_for_the_process_it_names(monkeypatch, microseconds, pid, expected):
    if microseconds is not None:
        monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert expected == systemd.watchdog_seconds()


@contextmanager
def watching():
    watchdog = Watchdog(gevent.get_hub())
    try:
        yield
    finally:
        watchdog.close()
        watchdog.close()


def test_the_watchdog_hears_that_the_hub_turns_again_and_again(ear, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "10000")
    with watching():
        assert [b"WATCHDOG=1"] * 3 == [ear.recv(1000) for _ in range(3)]


def test_it_is_the_hub_that_says_so(monkeypatch):
    """So that nothing is said any more when something keeps the hub from turning."""
    monkeypatch.setenv("WATCHDOG_USEC", "10000")
    said = gevent.event.Event()
    sayers = []

    def note(*args, **kwargs):
        sayers.append(getcurrent())
        said.set()

    monkeypatch.setattr(systemd, "notify", note)
    with watching():
        assert said.wait(PATIENCE)
    assert {gevent.get_hub()} == {*sayers}


def test_it_comes_at_half_the_time(monkeypatch):
    """That is what sd_watchdog_enabled(3) recommends."""
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    timers = []
    hub = gevent.get_hub()
    timer = hub.loop.timer

    class Loop:
        def timer(self, after, repeat, ref):
            timers.append((after, repeat, ref))
            return timer(after, repeat, ref=ref)

    class Hub:
        loop = Loop()

    Watchdog(Hub()).close()
    assert [(30.0, 30.0, False)] == timers


def test_without_systemd_the_watchdog_does_nothing():
    """It does not so much as look at the hub."""
    Watchdog(None).close()


@forks_beside_threads
def test_a_forked_child_says_nothing(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    told = []
    monkeypatch.setattr(systemd, "notify", lambda *args, **kwargs: told.append(args))
    watchdog = Watchdog(gevent.get_hub())
    try:
        watchdog._tell()
        assert 1 == len(told)
        pid = os.fork()
        if pid == 0:
            watchdog._tell()
            os._exit(len(told) - 1)
        assert (pid, 0) == os.waitpid(pid, 0)
    finally:
        watchdog.close()
