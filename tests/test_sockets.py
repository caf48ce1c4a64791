"""The cooperative socket does what a plain blocking socket does, over many interleavings."""

import errno
import gc
import socket
import struct
import weakref

import gevent
import gevent.select
import gevent.socket
import pytest
from gevent.exceptions import ConcurrentObjectUseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greensock.net import native
from greensock.net.hubs import discard_hub
from greensock.net.sockets import CooperativeSocket
from tests.helpers import Call, entered_by, unmeasured, wait_until

# Long enough that loopback delivers, short enough for hundreds of reads that find nothing.
SHORT = 0.01

# What is sent is always less than the kernel takes: with a timeout, a plain socket waits until half
# of its buffer is free, even where the other half would do.

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
    st.tuples(st.just("sendall"), st.sampled_from([1, 1000, 5000])),
    st.tuples(st.just("sendview"), st.sampled_from([8, 8000])),
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
            peer.send(b"x" * argument)
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
        return [(act_as_peer(peer, *theirs), act(sock, *ours))[1] for theirs, ours in script]


@pytest.mark.parametrize("make_pair", [tcp_pair, unix_pair])
@settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck))
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


def waiting(sock, function, *args):
    """A greenlet that has begun to call ``function`` and waits in it."""
    greenlet = gevent.spawn(function, *args)
    wait_until(lambda: sock._channel.is_waited_for)
    return greenlet


def test_a_read_lets_others_run_until_there_is_something(pair):
    peer, sock = pair
    reader = waiting(sock, sock.recv, 10)
    peer.send(b"x")
    assert b"x" == reader.get(timeout=30)


def test_bytes_that_come_while_nobody_reads_are_there_later(pair):
    peer, sock = pair
    for _ in range(3):
        peer.send(b"x")
        assert b"x" == sock.recv(10)
        peer.send(b"y")
        gevent.sleep(SHORT)  # the watcher finds nobody
        assert b"y" == sock.recv(10)


@pytest.mark.parametrize("how", ["close", "detach"])
def test_closing_in_one_greenlet_ends_the_wait_of_another(pair, how):
    _, sock = pair
    reader = waiting(sock, sock.recv, 10)
    fd = getattr(sock, how)()
    with pytest.raises(OSError) as caught:
        reader.get(timeout=30)
    assert errno.EBADF == caught.value.errno
    with pytest.raises(OSError):
        sock.recv(10)
    if fd is not None:
        native.close(fd)


@pytest.mark.parametrize("call", [lambda s: s.recv(1), lambda s: s.recv_into(bytearray(1))])
def test_two_greenlets_that_read_are_told(pair, call):
    peer, sock = pair
    reader = waiting(sock, sock.recv, 10)
    with pytest.raises(ConcurrentObjectUseError):
        call(sock)
    peer.send(b"x")
    assert b"x" == reader.get(timeout=30)


def test_shutting_for_reading_ends_the_wait(pair):
    _, sock = pair
    reader = waiting(sock, sock.recv, 10)
    sock.shutdown(socket.SHUT_RD)
    with pytest.raises(OSError):
        reader.get(timeout=30)


def test_killing_who_waits_leaves_the_socket_usable(pair):
    peer, sock = pair
    waiting(sock, sock.recv, 10).kill()
    peer.send(b"x")
    assert b"x" == sock.recv(10)


def test_a_reset_is_raised_where_somebody_waits():
    peer, fd = tcp_pair()
    with CooperativeSocket(peer.family, socket.SOCK_STREAM, 0, fileno=fd) as sock:
        reader = waiting(sock, sock.recv, 10)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        with pytest.raises(ConnectionResetError):
            reader.get(timeout=30)


def test_a_timeout_that_is_shortened_holds_at_once(pair):
    _, sock = pair
    sock.settimeout(30)
    waiting(sock, sock.recv, 10).kill()  # a timer of 30 s is under way
    sock.settimeout(SHORT)
    with pytest.raises(TimeoutError):
        sock.recv(10)


def test_bytes_that_came_in_time_are_read_though_the_hub_sees_them_late(pair):
    """As when the process had to wait for a processor."""
    peer, sock = pair
    sock.settimeout(SHORT)

    def be_late():
        peer.sendall(b"in time")
        native.sleep(2 * SHORT)

    gevent.spawn(be_late)
    assert b"in time" == sock.recv(100)


def test_a_timeout_counts_from_each_read(pair):
    peer, sock = pair
    sock.settimeout(10 * SHORT)
    for _ in range(4):
        gevent.spawn_later(5 * SHORT, peer.send, b"x")
        assert b"x" == sock.recv(10)
    with pytest.raises(TimeoutError):
        sock.recv(10)


@pytest.mark.parametrize("timeout", [SHORT, 0.0])
def test_sending_more_than_the_peer_reads_is_late(pair, timeout):
    _, sock = pair
    sock.settimeout(timeout)
    with pytest.raises(TimeoutError if timeout else BlockingIOError):
        sock.sendall(bytes(100_000_000))


def test_sending_waits_for_the_peer_to_read(pair):
    peer, sock = pair
    data = bytes(range(256)) * 100_000
    sender = gevent.spawn(sock.sendall, data)
    received = bytearray()
    peer.setblocking(False)
    while len(received) < len(data):
        gevent.select.select([peer.fileno()], [], [], 30)
        received += peer.recv(1 << 20)
    sender.get(timeout=30)
    assert data == received


def test_a_peer_who_never_pauses_leaves_others_their_turn(pair):
    peer, sock = pair
    turns = []

    def count():
        while True:
            turns.append(None)
            gevent.sleep(0)

    counting = gevent.spawn(count)
    peer.setblocking(False)
    for _ in range(200):
        try:
            peer.send(bytes(100_000))
        except BlockingIOError:
            pass
        sock.recv(1000)
    counting.kill()
    assert len(turns) > 10


def test_it_can_be_selected_and_turned_into_a_gevent_socket(pair):
    peer, sock = pair
    assert ([], [], []) == gevent.select.select([sock], [], [], 0)
    peer.send(b"x")
    assert ([sock], [sock], []) == gevent.select.select([sock], [sock], [], 30)
    assert isinstance(sock, gevent.socket.socket)
    with sock.dup() as second:
        assert b"x" == second.recv(10)


def test_a_socket_nobody_holds_any_more_is_closed(pair):
    peer, sock = pair
    peer.settimeout(30)
    with pytest.warns(ResourceWarning, match="unclosed"):
        second = CooperativeSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        second.settimeout(30)
        waiting(second, second.recv, 10).kill()  # its watcher and its timer are under way
        gevent.sleep(0)  # gevent lets go of the greenlet
        del second
        gc.collect()
    assert b"" == peer.recv(10)


@unmeasured
@pytest.mark.parametrize("end", ["close", "detach"])
def test_a_socket_that_has_ended_is_freed_without_a_line_of_python(pair, end):
    """In which a Ctrl-C would be lost; a server in the main thread would go on."""
    peer, sock = pair
    kept = [CooperativeSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())]
    kept[0].settimeout(30)
    peer.send(b"xy")
    assert b"x" == kept[0].recv(1)
    assert b"y" == kept[0].recv(1)
    waiting(kept[0], kept[0].recv, 10).kill()
    gevent.sleep(0)  # gevent lets go of the greenlet
    freed = weakref.ref(kept[0])
    channel = kept[0]._channel
    fd = getattr(kept[0], end)()
    if fd is not None:
        native.close(fd)
    assert [] == entered_by(kept.clear)
    assert freed() is None and not channel._watcher.active and channel._timer is None
    peer.settimeout(30)
    assert b"" == peer.recv(10)


def test_a_socket_may_be_closed_when_its_thread_has_gone(pair):
    peer, sock = pair
    kept = []

    def work():
        second = CooperativeSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        second.settimeout(SHORT)
        with pytest.raises(TimeoutError):
            second.recv(10)
        kept.append(second)
        discard_hub()

    Call("thread", work).end()
    kept.pop().close()
    peer.settimeout(30)
    assert b"" == peer.recv(10)


def test_lines_are_read_through_a_file(pair):
    peer, sock = pair
    with sock.makefile("rb") as file:
        assert isinstance(file.raw, socket.SocketIO)
        peer.send(b"a line\nand " + 5000 * b"x")
        assert b"a line\n" == file.readline()
        peer.send(b"\nrest")
        assert b"and " + 5000 * b"x" + b"\n" == file.readline()
        sock.close()  # the file holds it
        peer.shutdown(socket.SHUT_WR)
        assert b"rest" == file.read()
        raw = file.raw
    with pytest.raises(ValueError):
        raw.readinto(bytearray(1))
    peer.settimeout(30)
    assert b"" == peer.recv(1)


def test_a_file_that_was_late_once_is_of_no_more_use(pair):
    peer, sock = pair
    sock.settimeout(SHORT)
    with sock.makefile("rb") as file:
        peer.send(b"half")
        with pytest.raises(TimeoutError):
            file.readline()
        with pytest.raises(OSError, match="timed out"):
            file.readline()


def test_a_file_in_non_blocking_mode_says_that_there_is_nothing(pair):
    _, sock = pair
    sock.settimeout(0.0)
    with sock.makefile("rb") as file:
        assert file.read(10) is None
