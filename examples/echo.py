"""An echo server: every line comes back to who sent it.

    python examples/echo.py --model greenlet
    nc localhost 9000
"""

from contextlib import suppress

from greensock import StreamRequestHandler


class Echo(StreamRequestHandler):
    """Sends back what it receives, line by line."""

    def handle(self):
        with suppress(ConnectionError):  # a client may vanish at any moment
            # A longer line comes back in pieces, so that none can fill the memory.
            while line := self.rfile.readline(65536):
                self.wfile.write(line)


if __name__ == "__main__":
    from serve import options, serve
    serve(Echo, options(__doc__), hint="nc {host} {port}")
