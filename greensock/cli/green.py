"""``socketserver`` with a greenlet wherever the standard library starts a thread."""

import socketserver
import types

import greensock


def green_socketserver() -> types.ModuleType:
    """A module to stand in for ``socketserver``: greensock's, with greenlets for threads.

    ``ThreadingMixIn`` and the Threading servers are the greenlet ones; what is not public is the
    standard library's.
    """
    module = types.ModuleType("socketserver", socketserver.__doc__)
    vars(module).update(vars(socketserver))
    for name in socketserver.__all__:
        setattr(module, name, getattr(greensock, name.replace("Threading", "Greenlet")))
    return module
