"""Ctrl-C ends serve_forever with KeyboardInterrupt, and nothing else is heard of it."""

import os
import signal
import socket

import pytest

import greensock
from greensock.net import native
from tests.helpers import LOCAL, MODELS, Pid, children, connect, forks_beside_threads, rest
from tests.programs import begin

PROGRAM = """
from tests import world
import greensock, sys

class Waiting(greensock.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"ready")
        self.rfile.read()

for model in sys.argv[1:]:
    class Server(greensock.server_class(model)):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Waiting) as server:
        print(server.server_address[1], flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("interrupted", model, flush=True)
"""


def test_ctrl_c_is_not_printed():
    """A program that expects it writes nothing it does not mean to, nor do its children."""
    process = begin(PROGRAM, *MODELS)
    try:
        for model in MODELS:
            address = "127.0.0.1", int(process.stdout.readline())
            with socket.create_connection(address, timeout=30) as client:
                assert b"ready" == client.recv(5, socket.MSG_WAITALL)
                # As a terminal does it: to the children, too.
                os.killpg(process.pid, signal.SIGINT)
                assert f"interrupted {model}\n" == process.stdout.readline()
        assert ("", "") == process.communicate(timeout=30)
        assert 0 == process.returncode
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


struck: set[str] = set()  # the steps of a fork in the midst of which it comes


def strike(step):
    """Press Ctrl-C where another thread receives it, as this one hears no signals now."""

    def receive():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        signal.pthread_kill(native.get_ident(), signal.SIGINT)
        was_received.release()

    if step in struck:
        struck.remove(step)
        was_received = native.allocate_lock()
        was_received.acquire()
        native.start_new_thread(receive, ())
        was_received.acquire()


os.register_at_fork(
    before=lambda: strike("before"), after_in_parent=lambda: strike("after_in_parent")
)


@forks_beside_threads
@pytest.mark.parametrize("step", ["before", "after_in_parent"])
def test_one_that_comes_in_the_midst_of_a_fork_is_heard(step):
    """And the child that was forked finishes its request."""
    with greensock.ForkingTCPServer(LOCAL, Pid) as server, connect(server) as client:
        struck.add(step)
        with pytest.raises(KeyboardInterrupt):
            server.serve_forever()
        assert {int(rest(client))} == server.active_children
    assert not children()
