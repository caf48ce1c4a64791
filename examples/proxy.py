"""A TCP port forwarder: whoever connects here talks to another server.

    python examples/proxy.py --model greenlet --to localhost:8000
    curl http://localhost:9001/
"""

import sys

from greensock import BaseRequestHandler, relay


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
            relay(self.request, onward)


if __name__ == "__main__":
    from serve import options, serve
    given = options(__doc__, port=9001, to="localhost:8000")
    host, _, port = given.to.rpartition(":")
    if not port.isdecimal():
        sys.exit(f"--to {given.to} names no target: write HOST:PORT or [ADDRESS]:PORT")
    Proxy.target = (host.strip("[]"), int(port))
    serve(Proxy, given, hint="nc {host} {port}")
