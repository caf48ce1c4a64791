"""A program exits while threads that are daemons serve."""

import subprocess
import sys

import pytest

from greensock.net import native
from tests.helpers import Call
from tests.programs import environment

PROGRAM = """
from tests import world
import sys
import gevent
import greensock
from greensock.net import native

class Talk(greensock.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            gevent.sleep(0.0005)
            self.wfile.write(line)

server = greensock.server_class(sys.argv[1], "tcp")(("127.0.0.1", 0), Talk)
server.daemon_threads = True
native.start_new_thread(server.serve_forever, ())
print(server.server_address[1], flush=True)
sys.stdin.readline()
"""


def talk(port):
    """A client that comes back until there is nobody left."""
    try:
        while True:
            with native.Socket() as sock:
                sock.connect(("127.0.0.1", port))
                for _ in range(5):
                    sock.sendall(b"line\n")
                    if not sock.recv(5):
                        break
    except OSError:
        pass


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
def test_exit_in_the_midst_of_serving(model):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, model],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    port = int(program.stdout.readline())
    clients = [Call("thread", talk, port) for _ in range(6)]
    with native.Socket() as sock:
        sock.connect(("127.0.0.1", port))
        sock.sendall(b"line\n")
        assert b"line\n" == sock.recv(5)
    _, errors = program.communicate("\n", timeout=60)
    assert 0 == program.returncode, errors
    for client in clients:
        client.end()
