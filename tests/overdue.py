"""What the tests of connections that take too long have in common."""

import greensock
from greensock import StreamRequestHandler
from greensock.interfaces import IConnectionClosed
from tests.helpers import LOCAL

# Seconds, for those who shall be cut, and for those who shall not, on however slow a machine.
LIMIT = 0.15
AMPLE = 0.5


def new_server(handler, model, **attributes):
    return type("Server", (greensock.server_class(model, "tcp"),), attributes)(LOCAL, handler)


class EchoLines(StreamRequestHandler):
    """Answers each line with itself."""

    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)


def closings(record):
    """Why connections have ended."""
    return [event.connection.reason for event in record if IConnectionClosed.providedBy(event)]
