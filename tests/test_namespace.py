"""A mixin shares its namespace with servers it has never seen."""

import inspect
import socketserver

import pytest

import greensock
from greensock.serving import Serving

pytestmark = pytest.mark.worldless

# ``server_close`` of the standard library's own ThreadingMixIn reads it.
STDLIB_PRIVATE = {"_threads"}


@pytest.mark.parametrize(
    "name", sorted(n for n in greensock.__all__ if inspect.isclass(getattr(greensock, n)))
)
def test_private_names_of_servers_begin_with_their_own_prefix(name):
    cls = getattr(greensock, name)
    if not issubclass(cls, Serving):
        pytest.skip("not a server, so its subclasses are its own")
    ours = {
        attribute
        for base in cls.__mro__
        if base.__module__.startswith("greensock")
        for attribute in vars(base)
        if attribute.startswith("_") and not attribute.startswith("__")
    }
    assert set() == {n for n in ours if not n.startswith("_gs_")} - STDLIB_PRIVATE


def test_a_method_dispatcher_with_private_names_of_its_own_works_under_a_mixin():
    """``xmlrpc.server`` calls ``self._dispatch``; a mixin must not answer for it."""

    class Dispatcher(socketserver.TCPServer):
        def _dispatch(self, method):
            return f"called {method}"

    class Server(greensock.GreenletMixIn, Dispatcher):
        pass

    with Server(("127.0.0.1", 0), greensock.BaseRequestHandler) as server:
        assert "called pow" == server._dispatch("pow")
