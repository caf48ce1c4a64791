"""Servers that run out of descriptors, in processes of their own."""

import subprocess
import sys
import textwrap

from tests.faults.injecting import every_model
from tests.helpers import forks_beside_threads
from tests.programs import ROOT

pytestmark = forks_beside_threads

PROGRAM = """
    from tests import world

    import errno

    import gevent.select

    import greensock
    from greensock.interfaces import IAcceptPaused, IAcceptResumed, IRequestFailed
    from greensock.net import native
    from tests.tools import LOCAL, Shout, ask, descriptors, no_descriptors_left
    from tests.tools import recorded, served, wait_until

    class Server(greensock.server_class({model!r})):
        overload = {overload!r}

    def answer(client):
        assert gevent.select.select([client], [], [], 30)[0], "it hangs"
        return client.recv(100)

    def connect(clients):
        for client in clients:
            client.connect(server.server_address)

    server = Server(LOCAL, Shout)
    unserved = descriptors()
    with recorded(IAcceptPaused, IAcceptResumed, IRequestFailed) as record:
        with served(server, "greenlet"):
            idle = descriptors()
            assert b"HELLO\\n" == ask(server)
            wait_until(lambda: idle == descriptors())
            clients = [native.Socket() for _ in range(6)]
"""

TURNED_AWAY = """
            with no_descriptors_left():
                for wave in clients[:3], clients[3:]:
                    connect(wave)
                    assert [b""] * 3 == [answer(client) for client in wave]
            assert b"HELLO\\n" == ask(server)
            for client in clients:
                client.close()
            wait_until(lambda: idle == descriptors())
        names = [type(event).__name__ for event in record]
        assert ["AcceptPaused", "AcceptResumed"] == names, names
"""

NO_SENTINEL = """
            with no_descriptors_left(spare=1):
                connect(clients[:1])
                assert b"" == answer(clients[0])
                [event] = record
                assert IRequestFailed.providedBy(event), event
                assert errno.EMFILE == event.error.errno
            assert b"HELLO\\n" == ask(server)
"""


def run(body, **parameters):
    """Run the program to its end without an error."""
    program = textwrap.dedent(PROGRAM.format(**parameters) + body)
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert 0 == process.returncode, process.stderr


@every_model
def test_clients_are_turned_away_at_once_when_overload_is_close(model):
    run(TURNED_AWAY, model=model, overload="close")


def test_a_child_for_which_no_descriptor_is_left_costs_one_connection():
    run(NO_SENTINEL, model="fork", overload="backlog")
