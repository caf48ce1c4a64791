"""The servers that are measured: ``python -m benchmarks.servers PEER SERVICE [PORT]``.

A service is what a suite asks for: ``echo``, ``lines``, ``guarded``, ``limited``, ``timeout``,
``tls``, ``fanout``, ``relay``, ``udp`` or ``shutdown``. What is guarded serves lines, with all the
time limits there are; what is limited is echo, with limits on who gets in, too. In a fan-out, who
connects hears a byte, and then all that others say. A relay is to PORT. Each server prints the port
it listens on, and serves until it is killed.
"""

import ssl
from pathlib import Path

LOCAL = ("127.0.0.1", 0)
CHUNK = 65536
TIMEOUT = 30  # seconds, which nobody reaches
MANY = 100_000  # connections, which nobody reaches either

# The same for all: with the five of socketserver it would be retransmissions that are measured.
BACKLOG = 4096


def announce(port):
    print(port, flush=True)


def tls_context(library=ssl):
    """The ``library``'s, with a certificate that is good for nothing but this."""
    context = library.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).resolve().parent.parent / "localhost.pem")
    return context
