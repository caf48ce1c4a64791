"""Ctrl-C ends serve_forever with KeyboardInterrupt, and nothing else is heard of it."""

import os
import signal
import socket
import subprocess
import sys

from tests import world
from tests.helpers import MODELS
from tests.programs import environment

PROGRAM = """
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
    patching = "from gevent import monkey; monkey.patch_all()" if world.PATCHED else ""
    process = subprocess.Popen(
        [sys.executable, "-c", patching + PROGRAM, *MODELS],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
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
