"""``greensock serve --workers``, as its users see it: processes, sockets, signals and logs."""

import json
import os
import re
import signal
import socket
import time
from contextlib import suppress

import pytest

from greensock.cli.trying import try_out
from greensock.errors import CommandError
from tests.commands import command as run_command
from tests.commands import complaint_of, running
from tests.helpers import PATIENCE, forks_beside_threads, wait_until
from tests.web import request

worldless = pytest.mark.worldless

HANDLERS = '''
import logging, os, socketserver

own = logging.getLogger("own")
own.addHandler(logging.FileHandler("own.log"))


class Pid(socketserver.StreamRequestHandler):
    def handle(self):
        own.warning("somebody is here")
        self.wfile.write(b"%s %%d\\n" %% os.getpid())
        self.rfile.readline()
        self.wfile.write(b"done")


class Packets(socketserver.DatagramRequestHandler):
    pass
'''


def write_handlers(here, text):
    (here / "handlers.py").write_text(HANDLERS % text)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    path = tmp_path_factory.mktemp("here")
    write_handlers(path, "old")
    return path


def serve(here, *options, **kwargs):
    options = "--bind", "tcp://127.0.0.1:0", "--log-level", "info", *options
    return running("serve", "handlers:Pid", *options, cwd=here, **kwargs)


STARTUP = r"greensock: serving handlers:Pid on tcp://127\.0\.0\.1:(\d+), (.+), model (\w+)"


class Service:
    """A command that serves, and its place."""

    def __init__(self, command):
        self.command = command
        port, self.workers, self.model = re.fullmatch(STARTUP, command.line()).groups()
        self.place = "127.0.0.1", int(port)

    def connect(self):
        client = socket.create_connection(self.place, timeout=30)
        data = b""
        while not data.endswith(b"\n"):
            data += client.recv(100)
        return client, *data.decode().split()

    def pids(self, wanted, text=None):
        """Ask until so many workers have answered, and all of them with the text, if any."""
        pids, ends = set(), time.monotonic() + PATIENCE
        while len(pids) < wanted:
            assert time.monotonic() < ends, pids
            client, said, pid = self.connect()
            client.close()
            if text is not None and said != text:
                pids.clear()
            else:
                pids.add(int(pid))
        return pids


def finish(client):
    """Have the handler go on; what it says."""
    with client:
        client.sendall(b"\n")
        data = b""
        with suppress(ConnectionResetError):
            while part := client.recv(100):
                data += part
        return data


@pytest.fixture(scope="module")
def service(here):
    """One with two workers, an access log and a control socket; TERM ends it in order."""
    options = "--workers", "2", "--access-log", "access.log", "--control", "ctl"
    with serve(here, *options, measured=True) as command:
        service = Service(command)
        yield service
        command.signal(signal.SIGTERM)
        status, out, errors = command.end()
        assert (0, "") == (status, out), errors
        assert "Traceback" not in errors
    assert not (here / "ctl").exists()


@worldless
def test_workers_answer(service):
    assert ("2 workers", "greenlet") == (service.workers, service.model)
    assert service.command.pid not in service.pids(2)


@worldless
def test_it_is_not_ready_for_some_time_before_the_end(here):
    """Who comes meanwhile is served, by new workers as well, until a second signal comes."""
    with serve(here, "--workers", "1", "--ready-lag", "60", "--status", "0") as command:
        service = Service(command)
        status = "127.0.0.1", int(re.search(r":(\d+)/", command.line())[1])
        wait_until(lambda: (200, b"ready\n") == answer(status, "/readyz"))
        command.signal(signal.SIGTERM)
        expected = b"127.0.0.1:%d is about to end\n" % service.place[1]
        wait_until(lambda: (503, expected) == answer(status, "/readyz"))
        client, _, pid = service.connect()
        os.kill(int(pid), signal.SIGTERM)
        wait_until(lambda: {int(pid)} != service.pids(1))
        assert b"done" == finish(client)
        command.signal(signal.SIGTERM)
        code, out, errors = command.end()
    assert (0, "") == (code, out), errors
    assert ": cut, " in errors


def answer(address, path):
    response, body = request(address, path)
    return response.status, body


@worldless
def test_hup_brings_new_code_and_lets_connections_finish(service, here):
    client, _, pid = service.connect()
    write_handlers(here, "newer")
    service.command.signal(signal.SIGHUP)
    assert int(pid) not in service.pids(2, "newer")
    assert b"done" == finish(client)
    service.command.complaint(f"process {pid}: replaced, exit status 0")


@worldless
def test_hup_with_code_that_is_wrong_leaves_the_old_in_place(service, here):
    before = service.pids(2)
    (here / "handlers.py").write_text("import nothing_there")
    service.command.signal(signal.SIGHUP)
    complaint = service.command.complaint(" failed: ")
    assert "importing 'handlers' ended in " in complaint and "ModuleNotFoundError" in complaint
    assert " died, " in service.command.complaint(" has ended, ")
    assert before == service.pids(2)
    write_handlers(here, "newest")


@worldless
def test_ttin_and_ttou(service):
    service.command.signal(signal.SIGTTIN)
    assert "worker 2 is ready" in service.command.complaint("worker 2 ")
    service.pids(3)
    service.command.signal(signal.SIGTTOU)
    assert ": removed, exit status 0" in service.command.complaint("worker 2 ")


@worldless
def test_usr1_begins_logs_anew(service, here):
    """In every worker; the access log has whole lines, whoever wrote them."""
    service.pids(2)
    wait_until((here / "access.log").read_text)
    for name in "own", "access":
        (here / f"{name}.log").rename(here / f"{name}.1")
    os.killpg(service.command.pid, signal.SIGUSR1)  # who is none of its business stays alive
    ends = time.monotonic() + PATIENCE
    while not (here / "own.log").exists():
        assert time.monotonic() < ends
        service.pids(1)
    service.pids(2)
    lines = (here / "access.1").read_text().splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"\S+ \S+ peer=\S+ model=greenlet seconds=\S+ .* reason=\w+", line)


@worldless
def test_term_drains_and_quit_cuts(here):
    """With one preloaded worker, and threads in it."""
    write_handlers(here, "newest")
    options = "--workers", "1", "--preload", "--model", "thread", "--max-rss", "1G"
    with serve(here, *options, "--max-requests", "500", "--worker-timeout", "60") as command:
        service = Service(command)
        assert ("1 worker", "thread") == (service.workers, service.model)
        write_handlers(here, "changed")
        client, _, pid = service.connect()
        command.signal(signal.SIGHUP)
        command.complaint(f"worker 0 is ready, process {pid}")
        command.complaint("worker 0 is ready")
        service.pids(1, "newest")
        command.signal(signal.SIGTERM)
        command.complaint(" INFO greensock: draining 0 connections")
        assert b"done" == finish(client)
        assert (0, "") == command.end()[:2]
    with serve(here, "--workers", "1") as command:
        service = Service(command)
        client, _, _ = service.connect()
        command.signal(signal.SIGQUIT)
        assert b"" == client.recv(100)
        client.close()
        assert (0, "") == command.end()[:2]


@worldless
def test_systemd_hears_of_it(here, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.settimeout(30)
        ear.bind(str(tmp_path / "notify"))

        def told():
            found = ""
            while found in ("", "WATCHDOG=1"):
                found = ear.recv(1000).decode()
            return found.partition("\n")[0]

        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        with serve(here, "--workers", "cores", environ=environ) as command:
            assert "READY=1" == told()
            command.signal(signal.SIGHUP)
            assert ["RELOADING=1", "READY=1"] == [told(), told()]
            while "WATCHDOG=1" != ear.recv(1000).decode():
                pass
            command.signal(signal.SIGINT)
            assert "STOPPING=1" == told()
            assert 0 == command.end()[0]


@worldless
def test_usr2_starts_the_command_anew_and_ctl_reaches_that(here):
    """On the same sockets, those for control and status included."""
    write_handlers(here, "first")
    options = "--workers", "1", "--control", "again", "--status", "0"
    with serve(here, *options, fresh=True) as command:
        Service(command)
        place = command.line()
        assert re.fullmatch(r"greensock: status at http://127\.0\.0\.1:[1-9]\d*/", place)
        before = status(here)
        write_handlers(here, "second")
        command.signal(signal.SIGUSR2)
        service = Service(command)
        assert place == command.line()
        pid = int(re.search(r"process (\d+) has taken over", command.complaint("taken over"))[1])
        assert 0 == command.process.wait(PATIENCE)
        service.pids(1, "second")
        after = status(here)
        assert before["workers"][0]["pid"] != after["workers"][0]["pid"]
        os.kill(pid, signal.SIGTERM)
        ends = time.monotonic() + PATIENCE
        while (here / "again").exists():
            assert time.monotonic() < ends
    assert [] == list(here.glob("again*"))


def status(here):
    done, out, errors = run_command("ctl", "--control", "again", "status", "--json", cwd=here)
    assert 0 == done, errors
    return json.loads(out)


BIND = "serve handlers:Pid --bind tcp://127.0.0.1:0"
COMMAND_LINES = {
    f"{BIND} --workers 0": "argument --workers: '0' is neither a whole number from 1 to 512 nor",
    f"{BIND} --workers 513": "'513' is neither a whole number from 1 to 512 nor 'cores'",
    f"{BIND} --workers none": "argument --workers: 'none' would serve nobody",
    f"{BIND} --workers 2 --model fork": "--model is fork: choose --model greenlet or thread, or",
    f"{BIND} --workers 2 --model inline": "--model is inline: choose",
    f"{BIND} --model prefork": "argument --model: worker processes come with --workers",
    f"{BIND} --workers 2 --bind unix:x": "workers share one --bind, and there are 2: start a",
    f"{BIND} --control x": "--control is of no use without --workers",
    f"{BIND} --preload": "--preload is of no use without --workers",
    f"{BIND} --workers 2 --max-requests-jitter 1": "is of no use without --max-requests",
    f"{BIND} --workers 2 --max-requests-jitter none": "'none' is no whole number",
    f"{BIND} --workers 2 --max-rss 1.5G": "'1.5G' is no number of bytes above 0, as in 200M or 1G",
    f"{BIND} --workers 2 --share evenly": "argument --share: invalid choice: 'evenly'",
    f"{BIND} --workers 2 --control=": "argument --control: '' is no path in the file system",
    f"{BIND} --workers 2 --control .": "another command serves there, or it is no socket; give",
    f"{BIND} --workers 2 --control no/where": "cannot open --control 'no/where': ",
    f"{BIND} --workers 2 --status x": "--status: 'x' has no port from 0 to 65535",
    "serve handlers:Nobody --workers 2": "'handlers' has no 'Nobody'; it defines Pid, Packets",
    "serve handlers:Packets --workers 2": "Packets handles datagrams, and tcp://127.0.0.1:9000 ",
}


@forks_beside_threads
@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_wrong_command_line_is_answered_with_one_line(line, capsys, here, monkeypatch):
    """Although the handler was tried out in another process."""
    monkeypatch.chdir(here)
    text = complaint_of(capsys, *line.split())
    assert COMMAND_LINES[line] in text
    assert "\n" not in text


@forks_beside_threads
def test_what_ends_the_process_it_is_tried_out_in_is_told():
    try_out(lambda: None, "nothing")
    with pytest.raises(CommandError, match="^leaving ended its process, exit status 3$"):
        try_out(lambda: os._exit(3), "leaving")


@worldless
def test_too_few_descriptors_are_told_in_one_line(here):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))"
    with running(*BIND.split(), "--workers", "200", cwd=here, first=limit) as process:
        expected = "greensock: cannot have 200 workers: Too many open files\n"
        assert (1, "", expected) == process.end()


def test_a_status_that_is_in_use_is_told_in_one_line(here, capsys, monkeypatch):
    monkeypatch.chdir(here)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        text = complaint_of(capsys, *BIND.split(), "--preload", "--workers", "1", "--status", port)
    assert text.startswith(f"cannot serve the status at {port}: ")
    assert text.endswith("; choose another --status")
