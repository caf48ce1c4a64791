"""Readers that are ready at once go on one after another, without the hub in between."""

import gc
import socket
import weakref

import gevent
import pytest
from gevent.socket import cancel_wait
from greenlet import gettrace, settrace

from greensock.net import native
from greensock.net.hubs import discard_hub
from greensock.net.ready import ready_on
from greensock.net.sockets import CooperativeSocket
from tests.helpers import Call, unmeasured

COUNT = 6


def moved(kind, sock):
    return kind(sock.family, sock.type, sock.proto, fileno=sock.detach())


@pytest.fixture
def pairs():
    """Cooperative sockets, and plain ones at their other ends."""
    made = [
        (moved(CooperativeSocket, near), moved(native.Socket, far))
        for near, far in (socket.socketpair() for _ in range(COUNT))
    ]
    yield made
    for near, far in made:
        near.close()
        far.close()


def waiting(pairs, body):
    """A greenlet for each pair that has called ``body(near)``, and waits for a second message."""
    for _, far in pairs:
        far.send(b"first")

    def read(near):
        assert b"first" == near.recv(100)
        return body(near)

    started = [gevent.spawn(read, near) for near, _ in pairs]
    gevent.sleep(0)
    return started


def second(pairs):
    for _, far in pairs:
        far.send(b"second")


def test_one_reader_switches_to_the_next(pairs):
    """The hub is switched to when no other is ready."""
    hub, switches = gevent.get_hub(), []

    def echo(near):
        while data := near.recv(100):
            near.sendall(data)

    readers = waiting(pairs, echo)
    before = gettrace()
    settrace(lambda event, pair: switches.append(pair))
    try:
        for _ in range(10):
            second(pairs)
            gevent.sleep(0.001)
    finally:
        settrace(before)
    # Some may come late.
    assert sum(hub not in pair for pair in switches) > 10 * (COUNT - 1) / 2
    for _, far in pairs:
        far.shutdown(socket.SHUT_WR)
    gevent.joinall(readers, timeout=10, raise_error=True)
    assert [b"second" * 10] * COUNT == [far.recv(1000) for _, far in pairs]


def test_reader_that_is_ready_may_be_killed_and_robbed_of_its_socket(pairs):
    """By one that goes on before it."""
    readers, goes_on = [], []

    def read(near):
        data = near.recv(100)
        if not goes_on:
            others = [i for i, (other, _) in enumerate(pairs) if other is not near]
            readers[others[0]].kill(block=False)
            pairs[others[1]][0].close()
        goes_on.append(near)
        return data

    readers += waiting(pairs, read)
    second(pairs)
    gevent.joinall(readers, timeout=10)
    assert [9] == [reader.exception.errno for reader in readers if not reader.successful()]
    ends = [reader.value for reader in readers if reader.successful()]
    assert COUNT - 2 <= ends.count(b"second")


class Nobody:
    def throw(self, error):
        """Need not know."""


@pytest.mark.parametrize("leave", ["close", "lend", "rest"])
def test_no_reader_switches_to_what_is_no_greenlet(leave, pairs):
    """What rests, is lent or closed is not among the ready any more."""
    near, _ = pairs[0]
    ready = ready_on(near.hub)
    (reader,) = waiting(pairs[:1], lambda near: None)
    gevent.joinall([reader], timeout=10)
    ready.note(near._channel)
    getattr(near, leave)(*[Nobody()] * (leave == "rest"))
    assert near._channel not in ready
    if leave == "lend":
        near._channel._take_back()


def test_gevent_can_cancel_the_wait(pairs):
    """By the watcher, as it does for sockets of its own."""
    readers = waiting(pairs, lambda near: near.recv(100))
    for near, _ in pairs:
        cancel_wait(near._read_event, ConnectionError("enough"))
    gevent.joinall(readers, timeout=10)
    assert ["enough"] * COUNT == [str(reader.exception) for reader in readers]


@unmeasured
def test_nothing_is_left_of_a_hub():
    """Not even until the garbage is collected."""
    found = []

    def visit():
        near, far = socket.socketpair()
        with moved(CooperativeSocket, near) as near, far:
            found.append(weakref.ref(ready_on(near.hub)))
        del near
        discard_hub()

    gc.collect()
    gc.disable()
    try:
        Call("thread", visit).end()
        assert found[0]() is None
    finally:
        gc.enable()
