"""``greensock ctl``: what it says of the workers of a command, and what it has them do."""

import errno
import json
import os
import socket

import pytest

import greensock
from greensock import PreforkMixIn
from greensock.cli import ctl, main
from greensock.interfaces import IWorkerEnded, IWorkerStarted
from tests.commands import complaint_of
from tests.helpers import LOCAL, Trap, connect, forks_beside_threads, recorded, served, wait_until

pytestmark = forks_beside_threads


class Server(PreforkMixIn, greensock.TCPServer):
    workers = 1


@pytest.fixture(scope="module")
def at_work(tmp_path_factory):
    """A server, its control socket's path, and what its workers have begun and ended."""
    path = str(tmp_path_factory.mktemp("ctl") / "control")
    server = type("Server", (Server,), {"control_path": path})(LOCAL, Trap)
    with recorded(IWorkerStarted, IWorkerEnded) as record, served(server):
        wait_until(lambda: record)
        yield server, path, record


@pytest.fixture
def says(at_work, capsys):
    """A function: what a command that goes well prints."""

    def lines(*args):
        assert 0 == main(["ctl", "--control", at_work[1], *args])
        out, errors = capsys.readouterr()
        assert "" == errors
        return out.splitlines()

    return lines


def test_status_is_a_table(says, at_work):
    server, _, _ = at_work
    with connect(server) as client:
        assert b"trapped\n" == client.recv(100)
        heads, row, wanted = says("status")
    assert "worker  pid  state  ready for  connections  memory".split() == heads.split()
    index, pid, state, seconds, _, connections, memory, unit = row.split()
    assert ("0", "ready", "1", "MiB") == (index, state, connections, unit)
    assert f"1 wanted, supervisor {os.getpid()}" == wanted
    assert heads.index("state") == row.index("ready")


def test_status_for_programs(says):
    (line,) = says("status", "--json")
    status = json.loads(line)
    assert (1, False) == (status["wanted"], status["draining"])
    assert os.getpid() == status["supervisor"]
    assert {"index", "pid", "state", "seconds", "connections", "rss"} == set(status["workers"][0])


def test_what_is_not_known_yet_has_its_place():
    worker = {"index": 0, "pid": 7, "state": "starting"}
    worker |= {"seconds": None, "connections": None, "rss": None}
    _, row, goal = ctl._table({"workers": [worker], "wanted": 1, "draining": True, "supervisor": 6})
    assert (["0", "7", "starting", "-", "-", "-"], "draining, supervisor 6") == (row.split(), goal)


def test_orders(says, at_work):
    record = at_work[2]
    starts, ends = (
        lambda kind=kind: sum(kind.providedBy(event) for event in record)
        for kind in (IWorkerStarted, IWorkerEnded)
    )
    assert ["the workers are being replaced"] == says("reload")
    wait_until(lambda: (2, 1) == (starts(), ends()))
    assert ["there will be one worker more"] == says("add")
    wait_until(lambda: 3 == starts())
    assert ["there will be one worker less, unless it is the last"] == says("remove")
    wait_until(lambda: 2 == ends())
    assert ["log files are being opened anew"] == says("reopen")


def test_drain(at_work, says, monkeypatch):
    """What is asked is as the socket wants it."""
    asked = []

    def ask(path, request):
        asked.append(request)
        return {}

    monkeypatch.setattr(ctl, "_ask", ask)
    assert ["the workers drain, and the command ends with them"] == says("drain")
    says("drain", "--timeout", "2.5")
    assert [{"command": "drain"}, {"command": "drain", "timeout": 2.5}] == asked


def test_kick(says, at_work, capsys):
    server, path, _ = at_work
    with connect(server) as client:
        assert b"trapped\n" == client.recv(100)
        assert ["cut: 1"] == says("kick", "127.0.0.1")
        assert b"" == client.recv(100)
    complaint = complaint_of(capsys, "ctl", "--control", path, "kick", "192.0.2.1")
    assert "nobody is connected from 192.0.2.1" == complaint


def test_the_environment_may_say_where(at_work, capsys, monkeypatch):
    monkeypatch.setenv("GREENSOCK_CONTROL", at_work[1])
    assert 0 == main(["ctl", "status"])
    monkeypatch.delenv("GREENSOCK_CONTROL")
    capsys.readouterr()
    complaint = complaint_of(capsys, "ctl", "status")
    assert complaint.endswith("Give --control PATH, or set GREENSOCK_CONTROL to it")


def test_a_wrong_command_is_told(capsys):
    assert "invalid choice: 'stop'" in complaint_of(capsys, "ctl", "--control", "x", "stop")
    assert "required: PEER" in complaint_of(capsys, "ctl", "--control", "x", "kick")
    complaint = complaint_of(capsys, "ctl", "--control", "x", "drain", "--timeout", "none")
    assert "'none' would be for ever" in complaint


@pytest.fixture
def ask_at(tmp_path, capsys):
    """A function: what is said if something, or nothing, is at a path."""

    def ask(prepare=lambda path: None):
        path = str(tmp_path / "control")
        prepare(path)
        return complaint_of(capsys, "ctl", "--control", path, "status").replace(path, "PATH")

    return ask


def test_a_path_that_nobody_serves_is_told(ask_at):
    nobody = "nobody serves with --control 'PATH'"
    with socket.socket(socket.AF_UNIX) as sock:
        assert [nobody] * 2 == [ask_at(), ask_at(sock.bind)]


def test_a_path_that_is_somebody_elses_is_told(ask_at, monkeypatch):
    """The denial is made up, since these tests may run as root."""

    class Denied(socket.socket):
        def connect(self, path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(ctl.native, "Socket", Denied)
    assert "the control socket 'PATH' is its owner's alone" == ask_at()


def test_one_that_does_not_answer_is_told(ask_at, monkeypatch):
    monkeypatch.setattr(ctl, "PATIENCE", 0.05)
    with socket.socket(socket.AF_UNIX) as sock:
        complaint = ask_at(lambda path: (sock.bind(path), sock.listen()))
    assert "nobody answers at 'PATH' within 0.05 seconds" == complaint
