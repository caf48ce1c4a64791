"""The access log: a line for every connection, which no peer can break."""

import json
import logging
import re
import signal
import socket
from contextlib import contextmanager
from datetime import datetime

import gevent.socket
import pytest

import greensock
from greensock.access import log_access
from tests.commands import complaint_of, running
from tests.helpers import (
    LOCAL,
    MODELS,
    PATIENCE,
    Crash,
    Shout,
    ask,
    rest,
    served,
    wait_until,
)

LINE = r"peer=127\.0\.0\.1:\d+ model={} seconds=\d+\.\d\d\d received={} sent={} reason={}"


class ToMailbox(logging.Handler):
    def __init__(self, mailbox):
        super().__init__()
        self.mailbox = mailbox

    def emit(self, record):
        self.mailbox.put((record.name, record.levelname, record.getMessage()))


@contextmanager
def logged(mailbox, level=logging.INFO, **options):
    """The access log, line by line to the mailbox."""
    logger, handler = logging.getLogger("greensock.access"), ToMailbox(mailbox)
    logger.addHandler(handler)
    logger.setLevel(level)
    undo = log_access(**options)
    try:
        yield undo
    finally:
        undo()
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(handler)


def line_from(mailbox):
    name, level, line = mailbox.get()
    assert ("greensock.access", "INFO") == (name, level)
    return line


@pytest.mark.parametrize("model", MODELS)
def test_a_connection_that_ended_is_a_line(mailbox, model):
    server = greensock.server_class(model)(LOCAL, Shout)
    with logged(mailbox), served(server):
        assert b"HELLO\n" == ask(server)
        line = line_from(mailbox)
    assert re.fullmatch(LINE.format(model, 6, 6, "finished"), line), line


@pytest.mark.parametrize("model", MODELS)
def test_the_reason_of_its_end_is_told(mailbox, model):
    server = greensock.server_class(model)(LOCAL, Crash)
    with logged(mailbox), served(server):
        ask(server, b"")
        line = line_from(mailbox)
    assert re.fullmatch(LINE.format(model, 0, 0, "failed"), line), line


def test_a_line_may_be_json(mailbox):
    server = greensock.GreenletTCPServer(LOCAL, Shout)
    with logged(mailbox, json=True), served(server):
        ask(server)
        line = line_from(mailbox)
    found = json.loads(line)
    peer, since, seconds = found.pop("peer"), found.pop("since"), found.pop("seconds")
    assert {"model": "greenlet", "received": 6, "sent": 6, "reason": "finished"} == found
    assert re.fullmatch(r"127\.0\.0\.1:\d+", peer)
    assert datetime.fromisoformat(since).tzinfo is not None
    assert 0 <= seconds <= PATIENCE
    assert "\n" not in line


@pytest.mark.parametrize("as_json", [False, True])
def test_a_peer_cannot_break_a_line(mailbox, tmp_path, monkeypatch, as_json):
    """It may choose the path of its own socket, but not what the line says."""
    monkeypatch.chdir(tmp_path)
    path = 'x reason=finished\n"peer=1.2.3.4:5\u2028\x1b[2J'
    server = greensock.GreenletUnixStreamServer("server", Shout)
    with logged(mailbox, json=as_json), served(server):
        with gevent.socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.bind(path)
            client.connect("server")
            client.sendall(b"hello\n")
            rest(client)
        line = line_from(mailbox)
    assert line.isprintable() and line.isascii()
    if as_json:
        assert f"unix:{path}" == json.loads(line)["peer"]
    else:
        quoted = r'"unix:x reason=finished\n\"peer=1.2.3.4:5\u2028\u001b[2J"'
        assert line.startswith(f"peer={quoted} model=greenlet ")


def test_it_may_be_undone(mailbox):
    """More than once, and nothing is logged any more."""
    server = greensock.GreenletTCPServer(LOCAL, Shout)
    with logged(mailbox) as undo, served(server):
        undo()
        undo()
        ask(server)
        server.server_close()
    assert mailbox.is_empty()


def test_nothing_is_written_where_the_level_is_higher(mailbox):
    server = greensock.GreenletTCPServer(LOCAL, Shout)
    with logged(mailbox, logging.WARNING), served(server):
        ask(server)
        server.server_close()
    assert mailbox.is_empty()


def test_servers_that_only_look_at_others_are_left_out(mailbox):
    class Observer(greensock.GreenletTCPServer):
        is_observer = True

    server = Observer(LOCAL, Shout)
    with logged(mailbox), served(server):
        ask(server)
        server.server_close()
    assert mailbox.is_empty()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    path = tmp_path_factory.mktemp("here")
    (path / "handlers.py").write_text("def hello(sock, address):\n    sock.sendall(b'hello')\n")
    return path


def visit(line):
    port = int(re.search(r":(\d+),", line)[1])
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        while client.recv(100):
            pass


SERVE = "serve", "handlers:hello", "--bind", "tcp://127.0.0.1:0", "--log-level", "critical"


@pytest.mark.worldless
def test_the_command_writes_it_to_its_output(here):
    """With the time, and whatever --log-level says."""
    with running(*SERVE, "--access-log", "-", cwd=here, measured=True) as process:
        visit(process.line())
        time, words = process.line().split(" peer=")
        process.signal(signal.SIGTERM)
        assert (0, "", "") == process.end()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", time)
    assert re.fullmatch(LINE.format("greenlet", 0, 5, "finished"), "peer=" + words)


@pytest.mark.worldless
def test_the_command_appends_json_to_a_file(here):
    """One object a line, and nothing else; a file that was renamed is followed by a new one."""
    file, old = here / "access.log", here / "access.log.1"
    file.write_text("{}\n")
    options = "--access-log", file, "--access-log-format", "json"
    with running(*SERVE, *options, cwd=here) as process:
        line = process.line()
        visit(line)
        visit(line)
        wait_until(lambda: 3 == file.read_text().count("\n"))
        file.rename(old)
        visit(line)
        process.signal(signal.SIGTERM)
        assert (0, "", "") == process.end()
    first, *others = map(json.loads, old.read_text().splitlines())
    assert ({}, [5, 5]) == (first, [each["sent"] for each in others])
    assert 1 == len(file.read_text().splitlines())


@pytest.mark.worldless
def test_a_file_that_cannot_be_written_is_told_in_one_line(capsys):
    serve = "serve", "socketserver:BaseRequestHandler", "--bind", "tcp://127.0.0.1:0"
    complaint = complaint_of(capsys, *serve, "--access-log", "nowhere/access.log")
    assert complaint.startswith("cannot write the access log 'nowhere/access.log': No such file")
    assert "\n" not in complaint
