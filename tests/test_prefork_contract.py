"""A server with worker processes keeps what every model promises."""

import pytest

from greensock import PreforkMixIn
from greensock.net import native
from greensock.testing import check_model
from tests.helpers import children, forks_beside_threads

pytestmark = forks_beside_threads


@pytest.fixture(autouse=True)
def reaped():
    """The promise not to wait for workers leaves some that nobody waits for."""
    yield
    for pid in children():
        native.waitpid(pid, 0)


class OneWorker(PreforkMixIn):
    workers = 1


def test_it_keeps_what_the_contract_promises():
    check_model(OneWorker)
