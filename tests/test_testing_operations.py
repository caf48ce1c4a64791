"""check_model finds what a model lacks that a server needs to be left running."""

import pytest
from zope.interface import implementedBy

from greensock import GreenletMixIn, TCPServer, ThreadingMixIn
from greensock.settings import check_setting
from greensock.testing import check_model
from greensock.testing.operations import try_operations
from greensock.testing.trial import Trial
from tests.candidates import Faults, assert_finds
from tests.helpers import LOCAL

pytestmark = pytest.mark.worldless

faults = Faults()


class Deaf:
    """A setting that stays what it is."""

    def __init__(self, value):
        self._value = value

    def __set_name__(self, owner, name):
        self._name = name

    def __get__(self, server, owner):
        return self._value

    def __set__(self, server, value):
        check_setting(self._name, value)


@faults.breaking("a setting that is wrong is a ValueError, and changes nothing")
class Careless(GreenletMixIn):
    __setattr__ = object.__setattr__


@faults.breaking("accept_rate keeps those waiting who are too many")
class Rushing(GreenletMixIn):
    accept_rate = Deaf(None)


@faults.breaking("suspend.* has newcomers wait until resume")
class Tireless(GreenletMixIn):
    def suspend(self, release=False):
        pass


@faults.breaking("max_connections is never passed")
class Unlimited(GreenletMixIn):
    max_connections = Deaf(None)


@faults.breaking("who finds no room is turned away if overload says so")
class Ambiguous(GreenletMixIn):
    overload = Deaf("backlog")


@faults.breaking("max_connections_per_peer is kept to, for peers on IP")
class Partial(GreenletMixIn):
    max_connections_per_peer = Deaf(None)


@faults.breaking("who takes longer than a deadline is cut")
class Timeless(GreenletMixIn):
    send_timeout = Deaf(None)


@faults.breaking("TLS begins in the worker, under handshake_timeout")
class Silent(GreenletMixIn):
    """Has its loop wait for handshakes."""

    def verify_request(self, request, client_address):
        if self.ssl_context is not None:
            request.recv(1)
        return True


@faults.breaking("events tell of its beginning, of every connection, and of its end")
class Secretive(GreenletMixIn):
    def _gs_join_crew(self, job):
        self._gs_founded_crew().jobs.add(job)


@faults.breaking("an event tells of what is no Exception, and was raised")
class Discreet(ThreadingMixIn):
    def _gs_report(self, client_address, error):
        pass


@faults.breaking(r"connections tells who is there, and kick\(\) ends one")
class Gentle(GreenletMixIn):
    def kick(self, connection):
        return True


@faults.breaking(r"wait_for_connections\(\) tells whether they fit in time")
class Hopeful(GreenletMixIn):
    def wait_for_connections(self, operator, count, timeout=None):
        return True


@faults.breaking(r"drain\(\) has the draining\(\) of handlers called")
class Untold(GreenletMixIn):
    def _gs_tell_handlers(self):
        pass


@faults.breaking(r"drain\(\) cuts those still at work, and returns them")
class Forgetful(GreenletMixIn):
    def drain(self, timeout=...):
        super().drain(timeout)
        return []


@faults.breaking(r"drain\(\) serves who is connected, no newcomers")
class Abrupt(GreenletMixIn):
    def drain(self, timeout=...):
        self.server_close()
        return []


def check_operations(mixin, patience):
    """What check_model does over each server when that has been seen to serve."""
    server_class = type(mixin.__name__, (mixin, TCPServer), {})
    trial = Trial(mixin.__name__, patience)
    contracts = set(implementedBy(server_class).flattened())
    try_operations(trial, lambda handler: server_class(LOCAL, handler), contracts)


@pytest.mark.parametrize(("mixin", "promise"), faults)
def test_model_with_a_fault_is_found(mixin, promise):
    assert_finds(f"{mixin.__name__}.*{promise}", check_operations, mixin)


def test_check_model_looks_for_such_faults():
    assert_finds("Careless over greensock.TCPServer broke .*: a setting", check_model, Careless)
