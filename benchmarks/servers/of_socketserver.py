"""greensock and the standard library: the same code, as both have the same API."""

import importlib
import json
import random
import socket
import sys
import threading
import time

from . import BACKLOG, CHUNK, LOCAL, MANY, TIMEOUT, announce, tls_context

SHUTDOWNS = 5
DEADLINES = {"idle_timeout": TIMEOUT, "send_timeout": TIMEOUT, "request_timeout": 10 * TIMEOUT}
LIMITS = {
    **DEADLINES,
    "handshake_timeout": TIMEOUT,
    "drain_timeout": TIMEOUT,
    "max_connections": MANY,
    "max_connections_per_peer": MANY,
    "accept_rate": MANY,
    "accept_burst": MANY,
    "overload": "reject",
    "overload_reply": b"421 busy\r\n",
}


def handlers(library):
    class Echo(library.BaseRequestHandler):
        def handle(self):
            recv, sendall = self.request.recv, self.request.sendall
            while data := recv(CHUNK):
                sendall(data)

    class Timeout(Echo):
        def handle(self):
            self.request.settimeout(TIMEOUT)
            super().handle()

    class Parked(library.BaseRequestHandler):
        parked = True

        def handle(self):
            self.request.sendall(self.request.recv(CHUNK))

    class Lines(library.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(line)

    class Member(library.BaseRequestHandler):
        parked = True

        def setup(self):
            self.server.room.join(self)
            self.request.sendall(b"\n")

        def handle(self):
            self.server.room.broadcast(self.request.recv(CHUNK), skip=self)

    class Relay(library.BaseRequestHandler):
        def handle(self):
            with self.toolbox.connect(self.server.upstream) as onward:
                library.relay(self.request, onward)

    class Datagram(library.BaseRequestHandler):
        def handle(self):
            data, sock = self.request
            sock.sendto(data, self.client_address)

    return {
        "echo": Echo,
        "tls": Echo,
        "shutdown": Echo,
        "timeout": Timeout,
        "parked": Parked,
        "fresh": Echo,
        "lines": Lines,
        "guarded": Lines,
        "limited": Echo,
        "fanout": Member,
        "relay": Relay,
        "udp": Datagram,
    }


def serve(service, library, model, variant=None, upstream=None):
    library = importlib.import_module(library)
    kind = "UDPServer" if service == "udp" else "TCPServer"
    bases = [getattr(library, kind)]
    if model:
        bases.insert(0, getattr(library, model))
    # Neither a queue that overflows nor a limit on children is what the suites measure.
    attributes = {"request_queue_size": BACKLOG, "max_children": 1000}
    attributes["reuse_greenlets"] = variant != "fresh"
    attributes.update({"guarded": DEADLINES, "limited": LIMITS}.get(service, {}))
    attributes["upstream"] = upstream
    if service == "fanout":
        attributes["room"] = library.Room()
    server_class = type("Server", tuple(bases), attributes)
    handler = handlers(library)[variant or service]
    if service == "shutdown":
        print(json.dumps([shutdown(server_class, handler) for _ in range(SHUTDOWNS)]))
        return
    server = server_class(LOCAL, handler)
    if service == "tls":
        server.socket = tls_context().wrap_socket(server.socket, server_side=True)
    announce(server.server_address[1])
    server.serve_forever()


def shutdown(server_class, handler):
    """Seconds that ``shutdown`` takes in another thread, called on an idle server at any moment."""
    took = []

    def shut_down():
        with socket.create_connection(server.server_address) as client:
            client.sendall(b"x")
            client.recv(1)
            # A forked child has a copy of it, and would wait for its own end.
            client.shutdown(socket.SHUT_WR)
        time.sleep(random.uniform(0.1, 0.6))
        began = time.perf_counter()
        server.shutdown()
        took.append(time.perf_counter() - began)

    with server_class(LOCAL, handler) as server:
        thread = threading.Thread(target=shut_down)
        thread.start()
        server.serve_forever()
        thread.join()
    if not took:
        sys.exit("shutdown failed")
    return took[0]
