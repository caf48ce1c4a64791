"""Ctrl-C ends serve_forever with KeyboardInterrupt, and nothing else is heard of it."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests import world
from tests.helpers import MODELS
from tests.programs import environment

PROGRAM = """
import greensock, sys

class Waiting(greensock.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"ready")
        self.rfile.read()

class Server(greensock.server_class(sys.argv[1])):
    daemon_threads = True

with Server(("127.0.0.1", 0), Waiting) as server:
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("model", MODELS)
def test_ctrl_c_is_not_printed(model):
    """A program that expects it writes nothing it does not mean to, nor do its children."""
    patching = "from gevent import monkey; monkey.patch_all()" if world.PATCHED else ""
    process = subprocess.Popen(
        [sys.executable, "-c", patching + PROGRAM, model],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        address = "127.0.0.1", int(process.stdout.readline())
        with socket.create_connection(address, timeout=30) as client:
            assert b"ready" == client.recv(5, socket.MSG_WAITALL)
            # As a terminal does it: to the children, too.
            os.killpg(process.pid, signal.SIGINT)
            assert ("interrupted\n", "") == process.communicate(timeout=30)
        assert 0 == process.returncode
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
