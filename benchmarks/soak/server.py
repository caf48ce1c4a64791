"""The two servers: ``python -m benchmarks.soak.server``.

It prints both ports. For each line it reads it prints one, of JSON, that says how it fares.
"""

import gc
import json
import logging
import os
from collections import Counter

import gevent
from gevent.socket import wait_read

import greensock
from greensock.interfaces import IConnectionCut, IConnectionRefused, IHandshakeFailed

from ..lifetime import end_with_parent
from ..servers import LOCAL, announce, tls_context
from .dealings import pieces_of_answer


class Answer(greensock.StreamRequestHandler):
    """Answers each line, and is not surprised by peers that go away."""

    def handle(self):
        try:
            for line in self.rfile:
                if not line.endswith(b"\n"):
                    return
                for piece in pieces_of_answer(line):
                    self.wfile.write(piece)
        except OSError:
            pass


class Limited(greensock.GreenletMixIn, greensock.TCPServer):
    """Every limit there is, low enough for some client of the mix to meet it."""

    max_connections = 64
    max_connections_per_peer = 16
    accept_rate = 1000
    accept_burst = 100
    idle_timeout = 1.0
    request_timeout = 2.5
    handshake_timeout = 1.0
    send_timeout = 1.0


class Plain(Limited):
    overload = "reject"
    overload_reply = b"busy\n"


class Secure(Limited):
    overload = "close"
    reuse_greenlets = False
    ssl_context = staticmethod(tls_context)


class Told(logging.Handler):
    """Counts what is logged, and keeps what is an error."""

    def __init__(self):
        super().__init__()
        self.errors = []
        self.count = 0

    def emit(self, record):
        if record.levelno >= logging.ERROR:
            self.count += 1
            if len(self.errors) < 10:
                self.errors.append(logging.Formatter().format(record))


class Books:
    """What has happened, from the server's side."""

    def __init__(self):
        self.cut, self.refused, self.by_host = Counter(), Counter(), Counter()
        self.handshakes = 0
        greensock.events.subscribe(IConnectionCut, self._cut)
        greensock.events.subscribe(IConnectionRefused, self._refused)
        greensock.events.subscribe(IHandshakeFailed, self._failed)

    def _cut(self, event):
        self.cut[event.reason] += 1

    def _refused(self, event):
        self.refused[event.reason] += 1
        self.by_host[event.client_address[0]] += 1

    def _failed(self, event):
        self.handshakes += 1


def serve(servers, told, books):
    for server in servers:
        gevent.spawn(server.serve_forever)
    announce(" ".join(str(server.server_address[1]) for server in servers))
    while True:
        wait_read(0)
        if not os.read(0, 1):
            return
        gc.collect()
        state = {
            "connections": sum(len(server.connections) for server in servers),
            "objects": len(gc.get_objects()),
            "errors": told.count,
            "first_errors": told.errors,
            "cut": books.cut,
            "refused": books.refused,
            "by_host": books.by_host,
            "handshakes": books.handshakes,
        }
        print(json.dumps(state), flush=True)


def main():
    end_with_parent()
    told = Told()
    logging.getLogger("greensock").addHandler(told)
    with Plain(LOCAL, Answer) as plain, Secure(LOCAL, Answer) as secure:
        serve([plain, secure], told, Books())


if __name__ == "__main__":
    main()
