"""Network servers with the API of ``socketserver``, on gevent's hub.

``import greensock as socketserver`` is a safe edit: every public name is here, with the same
signature, and one mixin chooses how requests run::

    class Chat(GreenletMixIn, TCPServer): ...      # a greenlet each
    class Chat(ThreadingMixIn, TCPServer): ...     # an OS thread each
    class Chat(ForkingMixIn, TCPServer): ...       # a process each
    class Chat(PreforkMixIn, TCPServer): ...       # worker processes, with a greenlet each

The contracts are in ``greensock.interfaces``.
"""

from . import declarations, log  # noqa: F401  (what they do, they do on import)
from .combos import (
    MODELS,
    ForkingTCPServer,
    ForkingUDPServer,
    ForkingUnixDatagramServer,
    ForkingUnixStreamServer,
    GreenletTCPServer,
    GreenletUDPServer,
    GreenletUnixDatagramServer,
    GreenletUnixStreamServer,
    PreforkTCPServer,
    PreforkUDPServer,
    PreforkUnixDatagramServer,
    PreforkUnixStreamServer,
    ThreadingTCPServer,
    ThreadingUDPServer,
    ThreadingUnixDatagramServer,
    ThreadingUnixStreamServer,
    server_class,
)
from .handlers import BaseRequestHandler, DatagramRequestHandler, StreamRequestHandler
from .mixins.forks import ForkingMixIn
from .mixins.greenlets import GreenletMixIn
from .mixins.prefork import PreforkMixIn
from .mixins.threads import ThreadingMixIn
from .net.proxy_header import ProxyHeader, proxy_header_of
from .net.relay import Relayed, relay
from .rooms import Room
from .servers import BaseServer, TCPServer, UDPServer, UnixDatagramServer, UnixStreamServer

__version__ = "0.1.0"

__all__ = [
    "MODELS",
    "BaseRequestHandler",
    "BaseServer",
    "DatagramRequestHandler",
    "ForkingMixIn",
    "ForkingTCPServer",
    "ForkingUDPServer",
    "ForkingUnixDatagramServer",
    "ForkingUnixStreamServer",
    "GreenletMixIn",
    "GreenletTCPServer",
    "GreenletUDPServer",
    "GreenletUnixDatagramServer",
    "GreenletUnixStreamServer",
    "PreforkMixIn",
    "PreforkTCPServer",
    "PreforkUDPServer",
    "PreforkUnixDatagramServer",
    "PreforkUnixStreamServer",
    "ProxyHeader",
    "Relayed",
    "Room",
    "StreamRequestHandler",
    "TCPServer",
    "ThreadingMixIn",
    "ThreadingTCPServer",
    "ThreadingUDPServer",
    "ThreadingUnixDatagramServer",
    "ThreadingUnixStreamServer",
    "UDPServer",
    "UnixDatagramServer",
    "UnixStreamServer",
    "proxy_header_of",
    "relay",
    "server_class",
]
