"""Whatever handles requests, adapted once to what a server calls for every one of them."""

import socketserver
from functools import update_wrapper
from typing import Any

from zope.interface import implementer

from .callables import only_begins, takes
from .interfaces import IRequestHandlerFactory

_EXPECTED = (
    "pass a handler class, as in TCPServer(address, MyHandler) with "
    "'class MyHandler(BaseRequestHandler): def handle(self): ...', or a function "
    "'def handler(request, client_address, server): ...' or 'def handler(socket, address): ...'"
)


def as_factory(handler: Any) -> Any:
    """``handler`` as an IRequestHandlerFactory; TypeError if it cannot be one.

    Handler classes and callables that take ``(request, client_address, server)`` come back as they
    are; a function of ``(socket, address)`` comes back wrapped. None and callables without
    parameters come back too: they are common placeholders for servers that never call them.
    """
    if handler is None or IRequestHandlerFactory.providedBy(handler):
        return handler
    if not callable(handler):
        raise TypeError(f"{handler!r} cannot handle requests: {_EXPECTED}")
    takes_three = takes(handler, 3)
    if not takes_three and takes(handler, 0):
        return handler
    if _only_begins(handler):
        raise TypeError(
            f"{handler!r} is asynchronous or a generator, and nothing here awaits it or iterates "
            f"over it: {_EXPECTED}"
        )
    if takes_three:
        return handler
    if takes(handler, 2):
        return _SocketFunction(handler)
    raise TypeError(f"{handler!r} cannot be called with three arguments or two: {_EXPECTED}")


def is_placeholder(handler: object) -> bool:
    """Whether ``handler`` stands for no handler at all: None, or a callable that takes nothing."""
    if handler is None:
        return True
    return callable(handler) and not takes(handler, 3) and takes(handler, 0)


def check_callable(handler: object) -> None:
    """Raise TypeError if ``handler`` is a placeholder; to be called before it is needed."""
    if is_placeholder(handler):
        reason = "" if handler is None else "takes no arguments, and "
        raise TypeError(f"{handler!r} {reason}handles no requests: {_EXPECTED}")


def check_kind(handler: object, takes_datagrams: bool) -> None:
    """Raise TypeError for a handler of connections where datagrams come, or the other way.

    One with a ``setup`` of its own may make something of either.
    """
    wrong: type = socketserver.DatagramRequestHandler
    right: type = socketserver.StreamRequestHandler
    if takes_datagrams:
        wrong, right = right, wrong
    if not isinstance(handler, type) or not issubclass(handler, wrong):
        return
    home = next(cls.__module__ for cls in handler.__mro__ if "setup" in vars(cls))
    if home.partition(".")[0] in ("greensock", "socketserver"):
        what = "datagrams" if takes_datagrams else "connections"
        raise TypeError(
            f"{handler!r} is a {wrong.__name__}, and this server handles {what}: derive it from "
            f"{right.__name__}"
        )


def _only_begins(handler):
    """Whether calling it would return something to await or to iterate over, and do nothing."""
    body = getattr(handler, "handle" if isinstance(handler, type) else "__call__", None)
    return only_begins(handler) or only_begins(body)


@implementer(IRequestHandlerFactory)
class _SocketFunction:
    """A function of ``(socket, address)``, such as ``gevent.server.StreamServer`` calls."""

    def __init__(self, function):
        self._function = function
        update_wrapper(self, function)

    def __call__(self, request, client_address, server):
        self._function(request, client_address)

    def __repr__(self):
        return f"<handler {self._function!r}>"
