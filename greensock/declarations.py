"""Which contracts the standard library's classes honour, said once for every program."""

import socketserver

from zope.interface import classImplements, classImplementsOnly

from .interfaces import (
    IDatagramServer,
    IRequestHandlerFactory,
    IServer,
    IStreamServer,
)

classImplements(socketserver.BaseServer, IServer)
classImplements(socketserver.TCPServer, IStreamServer)
classImplementsOnly(socketserver.UDPServer, IDatagramServer)
