"""``greensock serve --bus``: workers that talk to each other, or one line that says why not."""

import re
import signal
import socket

import pytest

from tests import redis_server
from tests.commands import complaint_of, running
from tests.helpers import PATIENCE, needs_redis, rest

pytestmark = pytest.mark.worldless

HANDLERS = """
import os

import greensock

class Guest(greensock.StreamRequestHandler):
    def handle(self):
        with self.server.bus.subscribe("room") as room:
            self.toolbox.spawn(self.hear, room)
            self.wfile.write(b"%d\\n" % os.getpid())
            for line in self.rfile:
                self.server.bus.publish("room", line)

    def hear(self, room):
        for message in room:
            self.wfile.write(message.data)
"""


@pytest.fixture
def here(tmp_path):
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


@needs_redis
def test_workers_hear_each_other(here):
    with redis_server.running(here) as redis:
        # Which gives each of two clients to a worker of its own.
        options = "--workers", "2", "--share", "balance", "--bus", redis.url
        with running(
            "serve", "handlers:Guest", "--bind", "tcp://127.0.0.1:0", *options, cwd=here
        ) as command:
            address = "127.0.0.1", int(re.search(r":(\d+),", command.line())[1])
            with (
                socket.create_connection(address, PATIENCE) as ann,
                socket.create_connection(address, PATIENCE) as bob,
            ):
                assert ann.recv(100) != bob.recv(100)
                ann.sendall(b"hello\n")
                assert b"hello\n" == ann.recv(100) == bob.recv(100)
                bob.sendall(b"goodbye\n")
                assert b"goodbye\n" == bob.recv(100) == ann.recv(100)
                command.signal(signal.SIGTERM)
                assert b"" == rest(ann) == rest(bob)
            assert (0, "", "") == command.end()


@pytest.mark.parametrize("workers", [[], ["--workers", "1"]])
def test_one_that_cannot_be_reached_is_told_at_once(capsys, here, monkeypatch, workers):
    pytest.importorskip("redis")
    monkeypatch.chdir(here)
    url = f"unix://{here / 'nobody'}"
    complaint = complaint_of(capsys, "serve", "handlers:Guest", "--bus", url, *workers)
    assert complaint.startswith(f"--bus: Redis at {url} cannot be used: ")


def test_what_is_none_is_told(capsys):
    complaint = complaint_of(capsys, "serve", "handlers:Guest", "--bus", "127.0.0.1:6379")
    assert complaint.startswith("argument --bus: '127.0.0.1:6379' is no bus; give 'local', 'redis:")


def test_what_is_to_be_installed_is_told(capsys, without_redis_py):
    complaint = complaint_of(capsys, "serve", "handlers:Guest", "--bus", "redis://127.0.0.1/0")
    assert "pip install greensock[redis]; see" in complaint
