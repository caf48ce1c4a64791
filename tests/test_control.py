"""The control socket: what is asked over it, whoever asks, and how it is answered."""

import json
import os
import signal
import socket
import stat
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import greensock
from greensock import PreforkMixIn
from greensock.interfaces import IDrainEnded, IWorkerEnded, IWorkerStarted
from greensock.supervision import control
from greensock.supervision.commands import (
    COMMANDS,
    LONGEST,
    Reader,
    RequestError,
    is_meant,
    parse,
)
from tests.helpers import (
    LOCAL,
    Trap,
    connect,
    connect_to,
    forks_beside_threads,
    recorded,
    served,
    serving,
    wait_until,
)

pytestmark = forks_beside_threads

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([])
REQUESTS = st.fixed_dictionaries(
    {"command": st.sampled_from(COMMANDS) | VALUES}, optional={"timeout": VALUES, "peer": VALUES}
)


@given(st.binary() | (VALUES | REQUESTS).map(lambda value: json.dumps(value).encode()))
@settings(max_examples=50)
def test_whatever_comes_is_a_command_or_an_error(line):
    try:
        command, argument = parse(line)
    except RequestError as error:
        assert str(error)
    else:
        assert command in COMMANDS
        assert argument is None or command in ("drain", "kick")


@given(st.lists(st.binary(max_size=50)), st.data())
@settings(max_examples=20)
def test_lines_come_whole_in_whatever_pieces(lines, data):
    lines = [line.replace(b"\n", b"") for line in lines]
    sent = b"".join(line + b"\n" for line in lines)
    reader, found = Reader(), []
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        found += reader.feed(sent[:size])
        sent = sent[size:]
    assert lines == found


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_is_no_longer_than_it_may_be(end):
    assert [b"x" * LONGEST] == Reader().feed(b"x" * LONGEST + b"\n")
    with pytest.raises(RequestError, match="one line of at most 4096 bytes"):
        Reader().feed(b"x" * (LONGEST + 1) + end)


@pytest.mark.parametrize("timeout", ["5", -1, True, 10**400, float("nan"), float("inf"), []])
def test_a_timeout_is_a_number_of_seconds(timeout):
    with pytest.raises(RequestError, match="timeout is a number of seconds, 0 or more"):
        parse(json.dumps({"command": "drain", "timeout": timeout}))


def test_who_is_meant():
    assert is_meant("127.0.0.1:80", "127.0.0.1:80") and is_meant("127.0.0.1", "127.0.0.1:80")
    assert is_meant("::1", "[::1]:80") and is_meant("[::1]:80", "[::1]:80")
    assert not is_meant("127.0.0.1:8", "127.0.0.1:80") and not is_meant("27.0.0.1", "127.0.0.1:80")


class Server(PreforkMixIn, greensock.TCPServer):
    workers = 2


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "control")


class Client:
    """Who has opened the control socket."""

    def __init__(self, path):
        self.sock = connect_to(path, socket.AF_UNIX)
        self._answers = self.sock.makefile("rb")

    def ask(self, command, **more):
        return self.say(json.dumps({"command": command, **more}).encode() + b"\n")

    def say(self, line):
        self.sock.sendall(line)
        return self.hear()

    def hear(self):
        line = self._answers.readline()
        return json.loads(line) if line else None

    def close(self):
        self._answers.close()
        self.sock.close()


@contextmanager
def asking(path):
    client = Client(path)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def at_work(path, **more):
    """A server with two workers that are ready, and the events of its workers."""
    server = type("Server", (Server,), {"control_path": path, **more})(LOCAL, Trap)
    with recorded(IWorkerStarted, IWorkerEnded) as record, served(server):
        wait_until(lambda: started(record) == server.workers)
        yield server, record


def started(record):
    return sum(IWorkerStarted.providedBy(event) for event in record)


def reasons(record):
    return [event.reason for event in record if IWorkerEnded.providedBy(event)]


def test_orders(path):
    """All of them over one connection, and the workers do as they are told."""
    with at_work(path, workers=1) as (server, record), asking(path) as client:
        assert {} == client.ask("add")
        wait_until(lambda: started(record) == 2)
        assert {} == client.ask("remove")
        wait_until(lambda: ["removed"] == reasons(record))
        assert {} == client.ask("reload")
        wait_until(lambda: ["removed", "replaced"] == reasons(record))
        assert 3 == started(record)
        assert {"error": f"the commands are {', '.join(COMMANDS)}"} == client.ask("stop")
        assert "object" in client.say(b"\xff\n")["error"]


def test_status(path):
    with at_work(path) as (server, record), asking(path) as client:
        with connect(server) as held:
            assert b"trapped\n" == held.recv(100)
            status = client.ask("status")
        assert (2, False) == (status["wanted"], status["draining"])
        workers = status["workers"]
        pids = {event.index: event.pid for event in record}
        assert pids == {worker["index"]: worker["pid"] for worker in workers}
        assert [0, 1] == sorted(worker["connections"] for worker in workers)
        for worker in workers:
            assert "ready" == worker["state"]
            assert worker["seconds"] >= 0 and worker["rss"] > 1 << 20


def test_one_that_does_not_answer_is_silent_until_it_does(path, monkeypatch, capfd):
    """And whoever asked is not given a later question's answer."""
    monkeypatch.setattr("greensock.supervision.desk.PATIENCE", 0.1)
    with at_work(path, worker_timeout=None) as (server, record), asking(path) as client:
        victim = record[0]

        def state():
            (found,) = [
                worker for worker in client.ask("status")["workers"] if worker["pid"] == victim.pid
            ]
            return found["state"]

        os.kill(victim.pid, signal.SIGSTOP)
        try:
            assert ["silent", "silent"] == [state(), state()]
        finally:
            os.kill(victim.pid, signal.SIGCONT)
        wait_until(lambda: state() == "ready")
        assert {"kicked": 0} == client.ask("kick", peer="192.0.2.1")
    assert "Traceback" not in capfd.readouterr().err


def test_kick(path):
    with at_work(path) as (server, record), asking(path) as client:
        held = [connect(server) for _ in range(4)]
        try:
            assert {b"trapped\n"} == {each.recv(100) for each in held}
            host, port = held[0].getsockname()
            assert {"kicked": 1} == client.ask("kick", peer=f"{host}:{port}")
            assert b"" == held[0].recv(100)
            assert {"kicked": 3} == client.ask("kick", peer=host)
            assert {b""} == {each.recv(100) for each in held}
        finally:
            for each in held:
                each.close()


def test_drain(path):
    """It goes on being asked meanwhile, and ends when the time is over."""
    server = type("Server", (Server,), {"control_path": path, "drain_timeout": None})(LOCAL, Trap)
    with recorded(IWorkerStarted, IDrainEnded) as record, serving(server) as call:
        wait_until(lambda: started(record) == 2)
        with connect(server) as held, asking(path) as client:
            assert b"trapped\n" == held.recv(100)
            held.sendall(b"half")  # or else it would be taken for idle
            assert {} == client.ask("drain", timeout=1)
            while not client.ask("status")["draining"]:
                pass
            assert b"" == held.recv(100)
        call.end()
        server.server_close()
    assert 1 <= record[-1].seconds < 30
    assert not os.path.exists(path)


def test_it_is_its_owners_alone_and_gone_in_the_end(path):
    with at_work(path, workers=1):
        status = os.stat(path)
        assert (True, 0o600) == (stat.S_ISSOCK(status.st_mode), stat.S_IMODE(status.st_mode))
    assert not os.path.exists(path)


def test_one_that_nobody_answers_at_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    with at_work(path, workers=1), asking(path) as client:
        assert 1 == client.ask("status")["wanted"]
        other = type("Server", (Server,), {"control_path": path})(LOCAL, Trap)
        with other, pytest.raises(OSError):
            other.serve_forever()


def test_the_next_program_takes_the_place_however_deep_that_is(tmp_path, monkeypatch):
    folder = tmp_path / ("deep" * 25)
    folder.mkdir()
    monkeypatch.chdir(folder)
    first, second = control.ControlSocket("here"), control.ControlSocket("here", later=True)
    second.take_place()
    first.close()
    assert ["here"] == os.listdir(folder)
    second.close()
    assert [] == os.listdir(folder)


def test_a_path_with_no_room_for_the_next_program_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="98 bytes at most"):
        control.ControlSocket("x" * 99)
    control.ControlSocket("x" * 98).close()


def test_one_who_sends_too_much_and_goes_is_no_error(path, capfd):
    with at_work(path, workers=1):
        for _ in range(100):
            with connect_to(path, socket.AF_UNIX) as sock, suppress(OSError):
                sock.sendall(b"x" * 5000)
        with asking(path) as client:
            assert 1 == client.ask("status")["wanted"]
    assert "" == capfd.readouterr().err


def test_hostile_clients_are_ended_and_nobody_waits_for_them(path, monkeypatch):
    monkeypatch.setattr(control, "PATIENCE", 0.5)
    with at_work(path, workers=1), asking(path) as silent, asking(path) as long:
        with asking(path) as client:
            assert 1 == client.ask("status")["wanted"]
        assert "at most 4096 bytes" in long.say(b"x" * 5000)["error"]
        assert long.hear() is None
        assert silent.hear() is None


def test_a_desk_that_dies_is_replaced(path):
    """By one that knows as much."""
    with at_work(path, workers=1) as (server, record), asking(path) as client:
        client.ask("add")
        wait_until(lambda: started(record) == 2)
        os.kill(server._gs_team.desk.worker.child.pid, signal.SIGKILL)
        assert client.hear() is None
        with asking(path) as next_client:
            status = next_client.ask("status")
    assert [2, ["ready"] * 2] == [status["wanted"], [each["state"] for each in status["workers"]]]
