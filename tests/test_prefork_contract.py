"""A server with worker processes keeps what every model promises."""

import socketserver

import pytest

import greensock
from greensock import PreforkMixIn
from greensock.net import native
from greensock.testing.models import check_model_over
from tests.helpers import children, every_other, forks_beside_threads

pytestmark = forks_beside_threads


@pytest.fixture(autouse=True)
def reaped():
    """The promise not to wait for workers leaves some that nobody waits for."""
    yield
    for pid in children():
        native.waitpid(pid, 0)


class OneWorker(PreforkMixIn):
    workers = 1


@every_other(home=[greensock, socketserver], kind=["TCPServer", "UDPServer"])
def test_it_keeps_what_the_contract_promises(home, kind):
    check_model_over(getattr(home, kind), OneWorker)
