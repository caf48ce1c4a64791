"""Which contracts the standard library's classes honour, said once for every program.

What is derived from these, such as ``http.server.HTTPServer``, honours them as well.
"""

import socketserver

from zope.interface import classImplements, classImplementsOnly, implementedBy

from .interfaces import (
    IDatagramRequestHandler,
    IDatagramServer,
    IRequestHandler,
    IServer,
    IStreamRequestHandler,
    IStreamServer,
)

classImplements(socketserver.BaseServer, IServer)
classImplements(socketserver.TCPServer, IStreamServer)
# It inherits TCPServer, but what it is of that is a BaseServer.
classImplementsOnly(
    socketserver.UDPServer, IDatagramServer, implementedBy(socketserver.BaseServer)
)
classImplements(socketserver.BaseRequestHandler, IRequestHandler)
classImplements(socketserver.StreamRequestHandler, IStreamRequestHandler)
classImplements(socketserver.DatagramRequestHandler, IDatagramRequestHandler)
