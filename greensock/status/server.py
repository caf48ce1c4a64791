"""The status server: greensock's greenlets over the standard library's HTTP server.

It runs on the hub of those it looks at: a hub that something keeps from running answers nobody
here either, and that is what a probe of its health should find out.
"""

import socket
import socketserver
from collections.abc import Iterable
from http.server import HTTPServer
from typing import Any

import gevent

from .. import view
from ..mixins.greenlets import GreenletMixIn
from ..net.addresses import is_loopback, parse_address, url_of
from ..net.listeners import family_of
from ..tally import Tally
from .handler import StatusHandler


class _Site(HTTPServer):
    allow_reuse_port = False  # True in some releases, and then a port in use would be shared

    def server_bind(self) -> None:
        # HTTPServer's own looks up the machine's full name, which may take long.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]


class StatusServer(GreenletMixIn, _Site):
    """Serves what is to be seen of other servers: its subclasses know of which.

    Whoever comes is served, and of more than ``enough`` connections the oldest is ended.
    """

    is_observer = True
    enough = 64
    max_connections = 128  # half of them may be those that were ended, and have not noticed yet
    idle_timeout = 20.0
    request_timeout = 30.0
    drain_timeout = 1.0

    def stats(self) -> dict[str, Any]:
        """What ``/stats.json`` tells, but for whether it is ready."""
        raise NotImplementedError

    def listed(self) -> dict[str, Any]:
        """What ``/connections.json`` tells."""
        raise NotImplementedError

    def metrics(self) -> bytes:
        """What ``/metrics`` tells; ImportError without the package prometheus_client."""
        raise NotImplementedError

    def obstacles(self) -> list[str]:
        """Why it is not ready, a line each; empty if it is."""
        raise NotImplementedError

    @property
    def is_local(self) -> bool:
        """Whether it is there for this machine alone."""
        return is_loopback(str(self.server_address[0]))

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return url_of(self.server_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve it, in the place of the oldest connection if there are enough."""
        super().process_request(request, client_address)
        # If newcomers had to wait or were turned away, as many clients that say nothing would keep
        # out the probe that asks whether this process is well, and have it killed. A limit for each
        # peer would not help: they may come from where the probe does. Whoever has a question is
        # answered long before so many others have come.
        for connection in self.connections[: -self.enough]:
            connection.shut()

    def start(self) -> None:
        """Serve in a greenlet of this thread, which must come to its hub, until it is closed."""
        gevent.spawn(self._serve)

    def _serve(self) -> None:
        if self.fileno() >= 0:  # it may have been closed by now
            self.serve_forever()


class Status(StatusServer):
    """Serves what is to be seen of other servers; see ``greensock.status``.

    ``address``: as for ``parse_address``, or ``(host, port)``. ``servers``: greensock's, which are
    counted from now on, as are all others in this process. ValueError for a wrong address,
    TypeError for what is no list, OSError if it cannot listen there.

    ``is_ready``: set it to False to have ``/readyz`` answer 503 although all servers take
    connections, as for a while before they end.
    """

    is_ready = True

    def __init__(self, address: str | int | tuple[str, int], servers: Iterable[Any]) -> None:
        place = address if isinstance(address, tuple) else parse_address(address)
        if not isinstance(servers, Iterable):
            raise TypeError(f"{servers!r} is no list of servers: give [server]")
        self.servers = list(servers)
        self.address_family = family_of(place, socket.AF_INET)
        self.tally = Tally()
        try:
            super().__init__(place, StatusHandler)
        except BaseException:
            self.tally.close()
            raise

    def stats(self) -> dict[str, Any]:
        """Counts since it was made, and the state of each server."""
        return view.stats(self.servers, self.tally)

    def listed(self) -> dict[str, Any]:
        """The connections of the servers."""
        return view.connections(self.servers)

    def metrics(self) -> bytes:
        """All of the process."""
        from .. import metrics

        return metrics.render(self.tally)

    def obstacles(self) -> list[str]:
        """Why it is not ready, a line each; empty if it is."""
        own = [] if self.is_ready else ["about to end, or not ready yet"]
        return own + view.obstacles(self.servers, self.tally)

    def server_close(self) -> None:
        """Answer nobody any more, and count no more."""
        super().server_close()
        self.tally.close()


def serve_status(address: str | int | tuple[str, int], servers: Iterable[Any]) -> Status:
    """A Status that is served beside the servers of this thread until it is closed.

    ::

        with serve_status("127.0.0.1:9100", [server]):
            server.serve_forever()
    """
    status = Status(address, servers)
    status.start()
    return status
