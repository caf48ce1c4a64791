"""A program exits while threads that are daemons serve."""

import os

from greensock.net import native
from tests.helpers import Call
from tests.programs import begin

# Its children have imported what they need already.
PROGRAM = """
from tests import world
import os
import sys
import gevent
import greensock
from greensock.net import native

class Talk(greensock.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            gevent.sleep(0.0005)
            self.wfile.write(line)

for model in sys.argv[2:]:
    if (pid := native.fork()) == 0:
        break
    print(os.waitstatus_to_exitcode(native.waitpid(pid, 0)[1]), flush=True)
else:
    sys.exit()

server = greensock.server_class(model, "tcp")(("127.0.0.1", 0), Talk)
server.daemon_threads = True
native.start_new_thread(server.serve_forever, ())
print(server.server_address[1], flush=True)
os.read(int(sys.argv[1]), 1)
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


def test_exit_in_the_midst_of_serving():
    models = "inline", "greenlet", "thread"
    theirs, ours = os.pipe()
    program = begin(PROGRAM, str(theirs), *models, pass_fds=[theirs])
    told = []
    for model in models:
        port = int(program.stdout.readline())
        clients = [Call("thread", talk, port) for _ in range(6)]
        with native.Socket() as sock:
            sock.connect(("127.0.0.1", port))
            sock.sendall(b"line\n")
            assert b"line\n" == sock.recv(5)
        os.write(ours, b".")
        told.append((model, program.stdout.readline()))
        for client in clients:
            client.end()
    _, errors = program.communicate(timeout=60)
    native.close(theirs)
    native.close(ours)
    assert [(model, "0\n") for model in models] == told, errors
    assert 0 == program.returncode, errors
