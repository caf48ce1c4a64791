"""Many connections are told the same, and nobody waits for anybody."""

import gc
import socket
from contextlib import ExitStack, contextmanager
from weakref import ref

import gevent
import pytest

from greensock import BaseRequestHandler, Room
from greensock.interfaces import IConnectionClosed
from greensock.net import native
from greensock.testing import check_contracts
from tests.helpers import PATIENCE, Call, connect, recorded, served, wait_until
from tests.overdue import new_server
from tests.test_posting import MUCH, exactly, narrow

hubs_and_threads = pytest.mark.parametrize("model", ["greenlet", "thread"])


class Somebody:
    """A member that keeps what it is told."""

    def __init__(self, takes=True):
        self.told = []
        self.takes = takes

    def post(self, data):
        self.told.append(data)
        return self.takes


class Member(BaseRequestHandler):
    """Is in the room until the peer ends."""

    def handle(self):
        assert self.server.room.join(self)
        self.request.sendall(b"in\n")
        self.request.recv(1)


@contextmanager
def full(model, count, handler=Member, **attributes):
    """A room with so many, and their clients."""
    room = Room()
    with ExitStack() as stack:
        server = stack.enter_context(served(new_server(handler, model, room=room, **attributes)))
        clients = [stack.enter_context(connect(server)) for _ in range(count)]
        for client in clients:
            assert b"in\n" == client.recv(3)
        yield server, room, clients


def test_contract():
    check_contracts(Room())


def test_who_is_in_hears_what_is_broadcast():
    room, ann, bob, deaf = Room(), Somebody(), Somebody(), Somebody(takes=False)
    assert 0 == room.broadcast(b"nobody hears")
    assert [True] * 3 == [room.join(each) for each in (ann, bob, deaf)]
    assert room.join(ann)
    assert ([ann, bob, deaf], 3) == (room.members, len(room))
    assert 2 == room.broadcast(b"hello")
    assert room.leave(bob) and not room.leave(bob)
    assert ann in room and bob not in room
    assert 1 == room.broadcast(b"again")
    assert ([b"hello", b"again"], [b"hello"]) == (ann.told, bob.told)


def test_some_are_skipped():
    room = Room()
    ann, bob, stranger = people = [Somebody() for _ in range(3)]
    room.join(ann)
    room.join(bob)
    for skip, expected in [
        (None, 2),
        (ann, 1),
        ([ann], 1),
        ({ann, bob}, 0),
        (people, 0),
        (stranger, 2),
        ((), 2),
    ]:
        assert expected == room.broadcast(b"x", skip)
    assert (3, 5) == (len(ann.told), len(bob.told))


def test_data_is_shared():
    room, people = Room(), [Somebody() for _ in range(3)]
    for each in people:
        room.join(each)
    for data in b"some bytes", memoryview(b"a view"):
        room.broadcast(data)
        assert 1 == len({id(each.told[-1]) for each in people})
    assert people[0].told[0] is not None and type(people[0].told[0]) is bytes


@pytest.mark.parametrize("wrong", ["text", 1, None])
def test_what_cannot_be_broadcast(wrong):
    with pytest.raises(TypeError, match="cannot be sent: give a bytes-like object, such as b'h"):
        Room().broadcast(wrong)


def test_who_cannot_be_told_anything_cannot_join():
    with pytest.raises(TypeError, match=r"3 has no method post\(data\)"):
        Room().join(3)


def test_members_may_join_and_leave_in_the_midst_of_a_broadcast():
    room = Room()

    class Fickle(Somebody):
        def post(self, data):
            room.leave(self)
            room.join(Somebody())
            return True

    for _ in range(10):
        room.join(Fickle())
    assert 10 == room.broadcast(b"x")
    assert 10 == len(room)
    assert 10 == room.broadcast(b"y")


def test_threads_may_use_it_at_once():
    room, steady = Room(), Somebody()
    room.join(steady)

    def come_and_go():
        for _ in range(200):
            passing = Somebody()
            room.join(passing)
            room.broadcast(b"x")
            room.leave(passing)

    calls = [Call("thread", come_and_go) for _ in range(4)]
    for call in calls:
        call.end()
    assert ([steady], 800) == (room.members, len(steady.told))


@hubs_and_threads
def test_who_has_closed_has_left(model):
    """Handlers and connections alike, and nothing of them is left."""
    with recorded(IConnectionClosed) as record, full(model, 3) as (server, room, clients):
        (gone, *_) = room.members
        left = ref(gone)
        del gone
        for connection in server.connections:
            assert room.join(connection)
        assert 6 == len(room) == room.broadcast(b"x")
        for client in clients:
            assert b"xx" == exactly(client, 2)
            client.shutdown(socket.SHUT_WR)
        wait_until(lambda: 3 == len(record))
        assert ([], 0) == (room.members, room.broadcast(b"x"))
        del connection
        connection = record[0].connection
        assert not room.join(connection) and not len(room)
        wait_until(lambda: gc.collect() is None or left() is None)


def test_who_leaves_is_forgotten_by_the_connection():
    with full("greenlet", 1) as (server, room, clients):
        (member,) = room.members
        (connection,) = server.connections
        for _ in range(3):
            assert room.leave(member) and room.join(member)
        assert 1 == len(connection._joined)
        room.leave(member)
        assert not connection._joined


@hubs_and_threads
@pytest.mark.parametrize("where", ["greenlet", "thread"])
def test_everybody_hears_all_in_order_but_who_does_not_read(model, where):
    """A frozen member costs the others nothing: it is left out, and then cut."""
    with full(model, 10, send_buffer=1 << 16) as (server, room, clients):
        with narrow(server) as frozen:
            assert b"in\n" == exactly(frozen, 3)
            frozen_member = room.members[-1]
            frozen_member.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            expected = [b"%06d" % number + bytes(10_000) for number in range(50)]

            def speak():
                for data in expected:
                    assert 10 <= room.broadcast(data)
                    gevent.sleep(0.001) if where == "greenlet" else native.sleep(0.001)

            reading = [gevent.spawn(exactly, client, 50 * 10_006) for client in clients]
            Call(where, speak).end()
            for each in reading:
                assert b"".join(expected) == each.get(timeout=PATIENCE)
            wait_until(lambda: frozen_member not in room)


def test_a_thousand_hear_it():
    with full("greenlet", 1000) as (server, room, clients):
        assert 1000 == room.broadcast(b"hello, world")
        assert {b"hello, world"} == {exactly(client, 12) for client in clients}


def test_members_at_rest_hear_it_without_waking():
    class Resting(Member):
        parked = True

        def setup(self):
            self.server.room.join(self)
            self.request.sendall(b"in\n")

        def handle(self):
            self.request.recv(100)

    with full("greenlet", 3, Resting) as (server, room, clients):
        clients[0].sendall(b"hello")
        wait_until(lambda: "parked" == server.connections[0].state)
        assert 3 == room.broadcast(MUCH)
        for client in clients:
            assert MUCH == exactly(client, len(MUCH))
        assert "parked" == server.connections[0].state
