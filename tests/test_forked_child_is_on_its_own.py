"""What a handler does to its server in a child does not reach the parent or other children."""

import os
import socket
import socketserver

import pytest

from greensock import ForkingMixIn, ForkingTCPServer, StreamRequestHandler
from tests.helpers import LOCAL, connect, forks_beside_threads, rest, served

pytestmark = forks_beside_threads


class End(StreamRequestHandler):
    """Ends its server in the way its client asks for, and tells the pid it has."""

    def handle(self):
        self.wfile.write(b"%d\n" % os.getpid())
        for how in self.rfile:
            getattr(self.server, how.strip().decode())()
            self.wfile.write(b"done\n")


class OverTheStandardLibrary(ForkingMixIn, socketserver.TCPServer):
    """Its listener is gevent's under monkey patching."""


@pytest.mark.parametrize("kind", [ForkingTCPServer, OverTheStandardLibrary])
def test_ending_the_server_in_a_child_ends_nothing_else(kind):
    """The parent goes on serving, and a sibling at work is neither waited for nor killed."""
    with served(kind(LOCAL, End), "greenlet") as server, connect(server) as sibling:
        assert sibling.recv(20).strip().isdigit()
        for how in b"shutdown\n", b"server_close\n", b"collect_children\n", b"handle_timeout\n":
            with connect(server) as client:
                assert client.recv(20).strip().isdigit()
                client.sendall(how)
                client.shutdown(socket.SHUT_WR)
                assert b"done\n" == rest(client)
        sibling.sendall(b"shutdown\n")
        sibling.shutdown(socket.SHUT_WR)
        assert b"done\n" == rest(sibling)
