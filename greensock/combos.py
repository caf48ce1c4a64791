"""The ready-made servers: every model over every server."""

from .mixins.forks import ForkingMixIn
from .mixins.greenlets import GreenletMixIn
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
