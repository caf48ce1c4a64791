"""Servers that run out of descriptors, in processes of their own."""

import textwrap

import pytest

from tests.helpers import MODELS, forks_beside_threads
from tests.programs import run

pytestmark = forks_beside_threads

PROGRAM = """
    from tests import world

    import sys

    import gevent.select

    import greensock
    from greensock.interfaces import IAcceptPaused, IAcceptResumed, IRequestFailed
    from greensock.net import native
    from tests.tools import LOCAL, Shout, ask, descriptors, no_descriptors_left
    from tests.tools import recorded, served, wait_until

    class Greenish(Shout):
        def handle(self):
            gevent.sleep(0)  # which takes a thread a hub, and that descriptors
            super().handle()

    def answer(client):
        assert gevent.select.select([client], [], [], 30)[0], "it hangs"
        return client.recv(100)

    def check(model):
        server = type("Server", (greensock.server_class(model),), {"overload": OVERLOAD})
        server = server(LOCAL, Greenish)

        def connect(clients):
            for client in clients:
                client.connect(server.server_address)

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

A_FEW_LEFT = """
                with no_descriptors_left(spare=SPARE):
                    connect(clients)
                    wait_until(lambda: record)
                for client in clients:
                    client.sendall(b"hello\\n")
                assert [b"HELLO\\n"] * 6 == [answer(client) for client in clients]
                for client in clients:
                    client.close()
            names = [type(event).__name__ for event in record]
            assert {"AcceptPaused", "AcceptResumed"} == set(names), names
"""

CHECK = """
    OVERLOAD = sys.argv[1]
    for model in sys.argv[2:]:
        check(model)
        print(model)
"""


def check(body, overload, *models):
    """Run the program to its end, with one model after the other, without an error."""
    status, out, errors = run(textwrap.dedent(PROGRAM + body + CHECK), overload, *models)
    assert 0 == status, out + errors
    assert [*models] == out.split()


def test_clients_are_turned_away_at_once_when_overload_is_close():
    check(TURNED_AWAY, "close", *MODELS)


@pytest.mark.parametrize("spare", [1, 2, 3])
def test_nobody_is_lost_while_a_few_descriptors_are_left(spare):
    check(A_FEW_LEFT.replace("SPARE", str(spare)), "backlog", "greenlet", "thread", "fork")
