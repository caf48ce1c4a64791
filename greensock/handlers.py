"""Request handlers: the standard library's, with the toolbox of the model they run under."""

import socketserver
from typing import Any

from zope.interface import implementer

from .interfaces import IDatagramRequestHandler, IGreenRequestHandler, IStreamRequestHandler
from .toolbox import between_threads


@implementer(IGreenRequestHandler)
class BaseRequestHandler(socketserver.BaseRequestHandler):
    """Handle one request: override ``handle``, and ``setup`` and ``finish`` where needed.

    See IGreenRequestHandler for the attributes and the order of calls.
    """

    @property
    def toolbox(self) -> Any:
        """Concurrency tools that are right where this handler runs; see IToolbox."""
        toolbox = getattr(self.server, "toolbox", None)
        return between_threads() if toolbox is None else toolbox


@implementer(IStreamRequestHandler)
class StreamRequestHandler(BaseRequestHandler, socketserver.StreamRequestHandler):
    """Handle one connection through the files ``rfile`` and ``wfile``.

    See IStreamRequestHandler.
    """


@implementer(IDatagramRequestHandler)
class DatagramRequestHandler(BaseRequestHandler, socketserver.DatagramRequestHandler):
    """Handle one datagram; what is written to ``wfile`` is the answer.

    See IDatagramRequestHandler.
    """
