"""A process without TLS does not pay for it: ``ssl`` takes 4 MB, and 10 ms to import."""

import pytest

from tests.programs import loaded_after

pytestmark = pytest.mark.worldless

HEAVY = {"ssl", "_ssl", "gevent.ssl", "ctypes"}
TLS = {"gevent.ssl", "greensock.net.secure", "greensock.net.bounded_tls"}

SERVING = """
import socket

class Greet(greensock.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline())
        self.server.shutdown()

for model in "inline", "greenlet", "thread", "fork":
    server = greensock.server_class(model, "tcp")(("127.0.0.1", 0), Greet)
    with server, socket.create_connection(server.server_address, 10) as client:
        client.sendall(b"hello\\n")
        if model == "fork":
            server.handle_request()  # whose child cannot shut it down
        else:
            server.serve_forever()
        server.server_close()
        assert b"hello\\n" == client.recv(10), model
"""

# What shows a program that there will be TLS.
UNBOUND = """
import ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server = greensock.TCPServer(("127.0.0.1", 0), lambda sock, address: None, False)
"""
SERVED = """
server.server_bind()
server.server_activate()
server.shutdown()  # as soon as it begins
server.serve_forever()
"""
SIGNS = {
    "context": "server.ssl_context = context",
    "function": "server.ssl_context = lambda: context",
    "class attribute": """
class Server(greensock.TCPServer):
    ssl_context = context
Server(("127.0.0.1", 0), None, False)
""",
    "for a handler": """
from greensock.operations.certificates import checked_context
checked_context(context, "context is")
""",
    "listener": f"""
server.socket = context.wrap_socket(server.socket, server_side=True)
{SERVED}
""",
    "gevent's listener": f"""
import gevent.socket, gevent.ssl
sock = gevent.socket.socket(fileno=server.socket.detach())
server.socket = gevent.ssl.SSLSocket(sock, _context=context, server_side=True)
{SERVED}
""",
}


COMMAND_LINE = "import greensock.cli, greensock.cli.serve"


def test_what_has_no_tls_leaves_it_out():
    """Neither the import, nor that of the command line, nor a server takes it."""
    assert [set()] * 3 == loaded_after(HEAVY, "", COMMAND_LINE, SERVING)


def test_tls_is_imported_before_the_first_connection():
    """Several threads may take theirs at once, and that is no time to import anything."""
    found = loaded_after(TLS, *(UNBOUND + sign for sign in SIGNS.values()))
    assert dict.fromkeys(SIGNS, TLS) == dict(zip(SIGNS, found, strict=True))
