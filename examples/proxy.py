"""A TCP port forwarder: whoever connects here talks to another server.

    python examples/proxy.py --model greenlet --to localhost:8000
    curl http://localhost:9001/
"""

import socket
import sys
from contextlib import suppress

from greensock import BaseRequestHandler


def carry(source, sink):
    """Copy until ``source`` says that no more will come, and say so to ``sink``.

    If either fails, shut both, so that the opposite direction ends as well.
    """
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy(BaseRequestHandler):
    """Forwards one connection, in both directions at once, to ``target``."""

    target = ("localhost", 8000)
    patience = 30  # seconds that connecting to it may take

    def handle(self):
        try:
            onward = self.toolbox.connect(self.target, timeout=self.patience)
        except OSError as error:
            print(f"{self.target} cannot be reached: {error}", file=sys.stderr)
            return
        with onward:
            back = self.toolbox.spawn(carry, onward, self.request)
            carry(self.request, onward)
            back.join()


if __name__ == "__main__":
    from serve import options, serve
    given = options(__doc__, port=9001, to="localhost:8000")
    host, _, port = given.to.rpartition(":")
    if not port.isdecimal():
        sys.exit(f"--to {given.to} names no target: write HOST:PORT or [ADDRESS]:PORT")
    Proxy.target = (host.strip("[]"), int(port))
    serve(Proxy, given, hint="nc {host} {port}")
