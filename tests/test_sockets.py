"""The cooperative socket does what a plain blocking socket does, over many interleavings."""

import gc
import os
import socket
import struct
import weakref

import gevent
import pytest
from gevent.exceptions import ConcurrentObjectUseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greensock.net import native
from greensock.net.sockets import CooperativeSocket

# Long enough that loopback delivers, short enough for hundreds of reads that find nothing.
SHORT = 0.01

peer_actions = st.one_of(
    st.tuples(st.just("send"), st.sampled_from([1, 5, 64, 4096, 70_000])),
    st.tuples(st.just("shut"), st.just(None)),
    st.tuples(st.just("close"), st.just(None)),
    st.tuples(st.just("reset"), st.just(None)),
    st.tuples(st.just("nothing"), st.just(None)),
)
own_actions = st.one_of(
    st.tuples(st.just("recv"), st.sampled_from([0, 1, 3, 64, 4096, 65536])),
    st.tuples(st.just("recv_into"), st.sampled_from([0, 1, 64, 5000])),
    st.tuples(st.just("recv_part"), st.sampled_from([1, 7, 64])),
    st.tuples(st.just("peek"), st.sampled_from([1, 64])),
    st.tuples(st.just("recvfrom"), st.just(64)),
    st.tuples(st.just("sendall"), st.sampled_from([0, 1, 1000, 50_000])),
    st.tuples(st.just("sendview"), st.sampled_from([0, 8, 8000])),
    st.tuples(st.just("shut"), st.sampled_from([socket.SHUT_RD, socket.SHUT_WR])),
    st.tuples(st.just("timeout"), st.sampled_from([0.0, SHORT])),
)
scripts = st.lists(st.tuples(peer_actions, own_actions), min_size=1, max_size=12)


def tcp_pair():
    with native.Socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        left = native.Socket()
        left.connect(listener.getsockname())
        fd, _ = listener._accept()
    return left, fd


def unix_pair():
    left, right = (
        native.Socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, s.detach())
        for s in socket.socketpair()
    )
    return left, right.detach()


def act_as_peer(peer, action, argument):
    try:
        if action == "send":
            peer.setblocking(False)
            peer.send(os.urandom(0) + b"x" * argument)
        elif action == "shut":
            peer.shutdown(socket.SHUT_WR)
        elif action == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
        elif action == "close":
            peer.close()
    except OSError:
        pass


def act(sock, action, argument):
    """What one operation did, comparable between kinds of sockets."""
    try:
        if action == "recv":
            return sock.recv(argument)
        if action == "recv_into":
            buffer = bytearray(argument)
            return sock.recv_into(buffer), bytes(buffer)
        if action == "recv_part":
            buffer = bytearray(100)
            return sock.recv_into(buffer, argument), bytes(buffer)
        if action == "peek":
            return sock.recv(argument, socket.MSG_PEEK)
        if action == "recvfrom":
            return sock.recvfrom(argument)[0]
        if action == "sendall":
            return sock.sendall(b"y" * argument)
        if action == "sendview":
            return sock.sendall(memoryview(bytes(argument)).cast("Q"))
        if action == "shut":
            return sock.shutdown(argument)
        if action == "timeout":
            return sock.settimeout(argument)
    except OSError as error:
        return type(error).__name__, error.errno


def play(kind, make_pair, script):
    peer, fd = make_pair()
    sock = kind(peer.family, socket.SOCK_STREAM, 0, fileno=fd)
    sock.settimeout(SHORT)
    with peer, sock:
        return [
            (act_as_peer(peer, *theirs), act(sock, *ours))[1] for theirs, ours in script
        ]


@pytest.mark.parametrize("make_pair", [tcp_pair, unix_pair])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(script=scripts)
def test_every_operation_does_what_a_blocking_socket_does(make_pair, script):
    assert play(native.Socket, make_pair, script) == play(CooperativeSocket, make_pair, script)


@pytest.fixture(params=[tcp_pair, unix_pair])
def pair(request):
    peer, fd = request.param()
    sock = CooperativeSocket(peer.family, socket.SOCK_STREAM, 0, fileno=fd)
    yield peer, sock
    peer.close()
    sock.close()
