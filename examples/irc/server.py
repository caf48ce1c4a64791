"""The servers: how lines come to sessions over TCP, and a network to those who connect."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import greensock

from .network import Network, Settings
from .node import Node
from .wire import Lines

# Why a connection was cut, in the words that others read.
_REASONS = {
    "slow_consumer": "SendQ exceeded",
    "send_timeout": "Write error",
    "kicked": "Killed",
    "failed": "Read error",
}


def host_of(address: Any) -> str:
    """The peer's address without its port; those of Unix sockets have none."""
    return address[0] if isinstance(address, tuple) else "localhost"


class Client(greensock.StreamRequestHandler):
    """A connection that speaks IRC. It rests between lines, and half a line holds no greenlet."""

    parked = True

    def setup(self) -> None:
        super().setup()
        self.host = host_of(self.client_address)
        self.is_secure = hasattr(self.request, "cipher")
        self._lines = Lines()
        self._session = self.server.network.welcome(self)

    def handle(self) -> None:
        for line in self._lines.feed(self.rfile.read1()):
            self._session.receive(line)
        if self._session.is_over:
            # What was posted goes out first.
            self.request.shutdown(socket.SHUT_WR)
            self.request.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        self._session.lost(self.server.why_lost(self))
        super().finish()

    def end(self) -> None:
        """See Network.welcome."""
        self.hang_up()

    def draining(self) -> None:
        self._session.draining()


class Door:
    """What all servers have in common through which people come to a ``network``."""

    allow_reuse_address = True
    request_queue_size = 1024
    send_buffer = 1 << 20
    slow_consumer = "close"
    send_timeout = 60
    drain_timeout = 10

    network: Network

    def why_lost(self, handler: Any) -> str:
        """Why the connection of ``handler`` has ended, for others to read."""
        reason = getattr(getattr(handler.request, "meter", None), "reason", None)
        return _REASONS.get(reason, "Connection closed")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report it, unless the peer has just vanished."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[misc]


class Web(Door):
    """The door for browsers of ``hall``, with the same limits as the other one."""

    def __init__(self, listener: int, handler: Any, hall: Any) -> None:
        super().__init__(listener, handler)  # type: ignore[call-arg]
        self.network = hall.network
        self.ssl_context = hall.ssl_context
        self.max_connections = hall.max_connections
        self.max_connections_per_peer = hall.max_connections_per_peer


class Hall(Door):
    """A server whose process, or each of whose workers, is a server of the network.

    ``name``: its name; workers have a number in it. ``settings``: the network's. ``shares_bus``:
    whether other processes have its ``bus``, too. ``web``: None, or the descriptor of a socket that
    listens for browsers, and the handler for them.
    """

    name = "irc.localhost"
    settings = Settings()
    shares_bus = False
    web: tuple[int, Any] | None = None
    worker_index: int | None = None

    _web: Any = None

    def reload_tls(self) -> None:
        """Load the certificates again, for browsers as well."""
        super().reload_tls()  # type: ignore[misc]
        if self._web is not None:
            self._web.reload_tls()

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve; the supervisor of workers has no network."""
        if self.model == "prefork":
            super().serve_forever(poll_interval)
            return
        name = name_of(self.name, self.worker_index)
        bus = self.bus if self.shares_bus else None
        node = Node(name, self.settings, self.toolbox, bus)
        self.network = node.network
        node.begin()
        try:
            with self._web_beside():
                super().serve_forever(poll_interval)
        finally:
            node.end()

    @contextmanager
    def _web_beside(self) -> Iterator[None]:
        if self.web is None:
            yield
            return
        self._web = _class_of(Web, self.model)(*self.web, self)
        task = self.toolbox.spawn(self._web.serve_forever)
        try:
            yield
        finally:
            self._web.drain()
            task.join()


def name_of(name: str, index: int | None) -> str:
    """The name of a worker: with its number in the first part, as in irc-1.example."""
    if index is None:
        return name
    first, dot, rest = name.partition(".")
    return f"{first}-{index + 1}{dot}{rest}"


def hall_class(model: str) -> Any:
    """A server class for 'greenlet', 'thread' or 'prefork'."""
    return _class_of(Hall, model)


@lru_cache
def _class_of(door: type, model: str) -> Any:
    base = greensock.server_class(model)
    return type(f"{door.__name__}{base.__name__}", (door, base), {})
