"""The ready-made servers: every model over every server, by class and by name."""

from collections.abc import Iterable

from .mixins.forks import ForkingMixIn
from .mixins.greenlets import GreenletMixIn
from .mixins.prefork import PreforkMixIn
from .mixins.threads import ThreadingMixIn
from .servers import TCPServer, UDPServer, UnixDatagramServer, UnixStreamServer


class GreenletTCPServer(GreenletMixIn, TCPServer):
    """A greenlet for every TCP connection."""


class GreenletUDPServer(GreenletMixIn, UDPServer):
    """A greenlet for every UDP datagram."""


class GreenletUnixStreamServer(GreenletMixIn, UnixStreamServer):
    """A greenlet for every Unix stream connection."""


class GreenletUnixDatagramServer(GreenletMixIn, UnixDatagramServer):
    """A greenlet for every Unix datagram."""


class ThreadingTCPServer(ThreadingMixIn, TCPServer):
    """A thread for every TCP connection."""


class ThreadingUDPServer(ThreadingMixIn, UDPServer):
    """A thread for every UDP datagram."""


class ThreadingUnixStreamServer(ThreadingMixIn, UnixStreamServer):
    """A thread for every Unix stream connection."""


class ThreadingUnixDatagramServer(ThreadingMixIn, UnixDatagramServer):
    """A thread for every Unix datagram."""


class ForkingTCPServer(ForkingMixIn, TCPServer):
    """A process for every TCP connection."""


class ForkingUDPServer(ForkingMixIn, UDPServer):
    """A process for every UDP datagram."""


class ForkingUnixStreamServer(ForkingMixIn, UnixStreamServer):
    """A process for every Unix stream connection."""


class ForkingUnixDatagramServer(ForkingMixIn, UnixDatagramServer):
    """A process for every Unix datagram."""


class PreforkTCPServer(PreforkMixIn, TCPServer):
    """Worker processes for TCP connections."""


class PreforkUDPServer(PreforkMixIn, UDPServer):
    """Worker processes for UDP datagrams."""


class PreforkUnixStreamServer(PreforkMixIn, UnixStreamServer):
    """Worker processes for Unix stream connections."""


class PreforkUnixDatagramServer(PreforkMixIn, UnixDatagramServer):
    """Worker processes for Unix datagrams."""


_BY_NAME: dict[str, dict[str, type[TCPServer]]] = {
    "greenlet": {
        "tcp": GreenletTCPServer,
        "udp": GreenletUDPServer,
        "unix": GreenletUnixStreamServer,
        "unixgram": GreenletUnixDatagramServer,
    },
    "thread": {
        "tcp": ThreadingTCPServer,
        "udp": ThreadingUDPServer,
        "unix": ThreadingUnixStreamServer,
        "unixgram": ThreadingUnixDatagramServer,
    },
    "fork": {
        "tcp": ForkingTCPServer,
        "udp": ForkingUDPServer,
        "unix": ForkingUnixStreamServer,
        "unixgram": ForkingUnixDatagramServer,
    },
    "prefork": {
        "tcp": PreforkTCPServer,
        "udp": PreforkUDPServer,
        "unix": PreforkUnixStreamServer,
        "unixgram": PreforkUnixDatagramServer,
    },
    "inline": {
        "tcp": TCPServer,
        "udp": UDPServer,
        "unix": UnixStreamServer,
        "unixgram": UnixDatagramServer,
    },
}

MODELS = tuple(_BY_NAME)
"""The names of the models, the usual choice first."""


def server_class(model: str, transport: str = "tcp") -> type[TCPServer]:
    """The server class for a concurrency model and a transport, both chosen by name.

    ``model``: 'greenlet', 'thread', 'fork', 'prefork' or 'inline', the names in ``MODELS``.
    ``transport``: 'tcp', 'udp', 'unix' for streams or 'unixgram' for datagrams on a path.
    ValueError for any other name::

        with server_class("greenlet", "tcp")(("127.0.0.1", 9000), Echo) as server:
            server.serve_forever()
    """
    by_transport = _BY_NAME.get(model)
    if by_transport is None:
        raise ValueError(f"{model!r} is no concurrency model: choose {_listed(_BY_NAME)}")
    if transport not in by_transport:
        raise ValueError(f"{transport!r} is no transport: choose {_listed(by_transport)}")
    return by_transport[transport]


def _listed(names: Iterable[str]) -> str:
    *most, last = map(repr, names)
    return f"{', '.join(most)} or {last}"
