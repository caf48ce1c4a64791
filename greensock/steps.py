"""Which steps of a request an application has made its own.

Every step may be overridden, in a class or on one server, and is called then. To call in turn all
those that nobody has overridden takes as much as the rest of a short request. So a server asks
once, when it begins to serve, and does what they would do. Until it has asked, and once a step is
assigned to it while it serves, all of them are called.
"""

import socketserver
from typing import Any

STEPS = frozenset(
    (
        "verify_request",
        "process_request",
        "process_request_thread",
        "finish_request",
        "shutdown_request",
        "close_request",
    )
)

# Its models are not among them: what they do in a step is another thing than what is done here.
_KNOWN = (socketserver.BaseServer, socketserver.TCPServer, socketserver.UDPServer)


def own_steps(server: Any) -> frozenset[str]:
    """Those that are not only what socketserver's servers and greensock make of them."""
    own = STEPS & set(vars(server))
    for cls in type(server).__mro__:
        is_known = cls in _KNOWN or _is_ours(cls)
        steps = STEPS.intersection(vars(cls))
        own |= {step for step in steps if not (is_known and _is_unchanged(cls, vars(cls)[step]))}
    return frozenset(own)


def _is_ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "greensock"


def _is_unchanged(cls: type, function: Any) -> bool:
    """Whether it is what the class came with, and nobody has put another one in its place."""
    return _is_ours(function) or getattr(function, "__module__", None) == cls.__module__
