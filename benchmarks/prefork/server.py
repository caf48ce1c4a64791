"""The servers: with so many workers, or with none, in one process.

``python -m benchmarks.prefork.server SERVICE WORKERS SHARE`` prints the port, and then a line when
all workers are ready.
"""

import os
import sys

import greensock
from greensock.events import subscribe
from greensock.interfaces import IServerStarted, IWorkerStarted

from ..lifetime import end_with_parent
from ..servers import BACKLOG, CHUNK, LOCAL

# Milliseconds of a processor for an answer, roughly.
ROUNDS = 20_000


class Echo(greensock.BaseRequestHandler):
    def handle(self):
        recv, sendall = self.request.recv, self.request.sendall
        while data := recv(CHUNK):
            sendall(data)


class Compute(greensock.BaseRequestHandler):
    """Echoes, after it has kept a processor busy for a millisecond."""

    def handle(self):
        while data := self.request.recv(CHUNK):
            sum(range(ROUNDS))
            self.request.sendall(data)


class Tell(greensock.BaseRequestHandler):
    """Says in which process it is, and stays."""

    def handle(self):
        self.request.sendall(b"%d\n" % os.getpid())
        self.request.recv(1)


SERVICES = {"echo": Echo, "compute": Compute, "tell": Tell}


def main(service, workers, share):
    end_with_parent()
    workers = int(workers)
    model = greensock.PreforkMixIn if workers else greensock.GreenletMixIn
    attributes = {"request_queue_size": BACKLOG}
    if workers:
        attributes.update(workers=workers, share=share)
    server_class = type("Server", (model, greensock.TCPServer), attributes)
    server = server_class(LOCAL, SERVICES[service])
    print(server.server_address[1], flush=True)
    missing = workers or 1

    def note(event):
        nonlocal missing
        missing -= 1
        if not missing:
            print("ready", flush=True)

    subscribe(IWorkerStarted if workers else IServerStarted, note)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
