"""Blocking sockets under the deadline of their thread."""

import errno
import io
import os
import select
import socket
import ssl
import tempfile

import pytest

from greensock.net import native
from greensock.net.bounded import BoundedSocket
from greensock.net.bounded_tls import BoundedSSLSocket
from greensock.net.deadlines import deadline
from greensock.net.meters import Meter
from tests import tls
from tests.helpers import PATIENCE, Call, wait_until

SHORT = 0.01
FLOOD = bytes(8 << 20)

READS = {
    "recv": lambda sock: sock.recv(1),
    "recv_into": lambda sock: sock.recv_into(bytearray(1)),
    "recvfrom": lambda sock: sock.recvfrom(1),
    "recvfrom_into": lambda sock: sock.recvfrom_into(bytearray(1)),
    "recvmsg": lambda sock: sock.recvmsg(1),
    "recvmsg_into": lambda sock: sock.recvmsg_into([bytearray(1)]),
    "rfile": lambda sock: sock.makefile("rb").read(1),
}


@pytest.fixture
def pair():
    """Our end, bounded, and the peer's, which is native too."""
    ours, theirs = (native.Socket(fileno=end.detach()) for end in socket.socketpair())
    bounded = BoundedSocket(fileno=ours.detach())
    with bounded, theirs:
        for end in bounded, theirs:
            end.setblocking(True)
        yield bounded, theirs


@pytest.mark.parametrize("name", READS)
def test_read_ends_at_the_deadline(pair, name):
    with pytest.raises(TimeoutError, match="the deadline has passed"), deadline(SHORT):
        READS[name](pair[0])


def test_read_in_time_is_not_limited(pair):
    ours, theirs = pair
    with deadline(PATIENCE):
        later = Call("thread", ours.recv, 10)
        theirs.sendall(b"here")
        assert b"here" == later.end()


@pytest.mark.parametrize("write", ["send", "sendall"])
def test_write_ends_at_the_deadline(pair, write):
    ours, _ = pair
    with pytest.raises(TimeoutError, match="the deadline has passed"), deadline(SHORT):
        while True:
            getattr(ours, write)(FLOOD)


def test_write_in_time_is_complete(pair):
    ours, theirs = pair

    def read_all():
        return sum(map(len, iter(lambda: theirs.recv(1 << 16), b"")))

    def write():
        with deadline(PATIENCE):
            ours.sendall(FLOOD)
        ours.shutdown(socket.SHUT_WR)

    writing = Call("thread", write)
    assert len(FLOOD) == Call("thread", read_all).end()
    writing.end()


def test_socket_is_as_before_after_a_deadline(pair):
    ours, theirs = pair
    with pytest.raises(TimeoutError), deadline(SHORT):
        ours.recv(1)
    assert ours.gettimeout() is None
    theirs.sendall(b"still")
    assert b"still" == ours.recv(10)
    ours.sendall(b"here")
    assert b"here" == theirs.recv(10)


def test_second_thread_has_no_deadline(pair):
    """The deadline of one thread is no timeout of the socket they share."""
    ours, theirs = pair
    other = Call("thread", ours.recv, 10)
    with pytest.raises(TimeoutError), deadline(SHORT):
        while True:
            ours.sendall(FLOOD)
    theirs.sendall(b"late")
    assert b"late" == other.end()


def test_own_timeout_counts_if_it_is_nearer(pair):
    ours, _ = pair
    ours.settimeout(SHORT)
    with pytest.raises(TimeoutError, match="timed out"), deadline(PATIENCE):
        ours.recv(1)
    assert SHORT == ours.gettimeout()


def test_non_blocking_socket_never_waits(pair):
    ours, _ = pair
    ours.setblocking(False)
    with deadline(PATIENCE):
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        with pytest.raises(BlockingIOError):
            while True:
                ours.send(FLOOD)


def test_closed_socket_raises_oserror(pair):
    ours, _ = pair
    ours.close()
    with pytest.raises(OSError) as raised, deadline(PATIENCE):
        ours.recv(1)
    assert errno.EBADF == raised.value.errno


def test_deadline_may_be_further_than_poll_can_count(pair):
    ours, theirs = pair
    theirs.sendall(b"x")
    with deadline(10**10):
        assert b"x" == ours.recv(1)


def test_two_writers_share_the_room_there_is(pair):
    """When another thread takes the room that one was told of, that one waits on."""
    ours, theirs = pair
    part = bytes(1 << 16)

    def write():
        with deadline(PATIENCE):
            for _ in range(20):
                ours.sendall(part)

    writers = [Call("thread", write) for _ in range(3)]
    left = 3 * 20 * len(part)
    while left:
        left -= len(theirs.recv(min(left, 1 << 12)))
    for writer in writers:
        writer.end()


def test_write_with_an_own_timeout_ends_at_the_deadline_if_that_is_nearer(pair):
    ours, _ = pair
    ours.settimeout(PATIENCE)
    with pytest.raises(TimeoutError, match="the deadline has passed"), deadline(SHORT):
        ours.sendall(FLOOD)


def test_write_that_gives_up_leaves_another_one_waiting(pair):
    ours, theirs = pair
    ours.meter = Meter()
    waiting = Call("thread", ours.sendall, FLOOD)
    wait_until(lambda: ours.meter.stuck_since)
    since = ours.meter.stuck_since
    with pytest.raises(TimeoutError), deadline(SHORT):
        ours.send(FLOOD)
    assert since == ours.meter.stuck_since
    theirs.close()
    with pytest.raises(OSError):
        waiting.end()
    assert 0.0 == ours.meter.stuck_since


@pytest.fixture
def flood():
    """A file of as many bytes as FLOOD."""
    with tempfile.TemporaryFile() as file:
        file.write(FLOOD)
        yield file


def test_file_is_counted_as_it_goes(pair, flood):
    ours, theirs = pair
    ours.meter = Meter()
    sending = Call("thread", ours.sendfile, flood)
    wait_until(lambda: ours.meter.sent and ours.meter.stuck_since)
    assert ours.meter.sent < len(FLOOD)
    left = len(FLOOD)
    while left:
        left -= len(theirs.recv(left))
    assert len(FLOOD) == sending.end() == ours.meter.sent == flood.tell()
    assert 0.0 == ours.meter.stuck_since


@pytest.mark.parametrize("own, seconds", [(None, 0.1), (0.1, None), (PATIENCE, 0.1)])
def test_file_ends_at_the_deadline_and_at_the_own_timeout(pair, flood, own, seconds):
    ours, _ = pair
    ours.meter = Meter()
    ours.settimeout(own)
    with pytest.raises(TimeoutError), deadline(seconds):
        ours.sendfile(flood)
    assert 0 < ours.meter.sent == flood.tell() < len(FLOOD)
    assert 0.0 == ours.meter.stuck_since


def test_file_whose_peer_goes_away_is_where_it_was_then(pair, flood):
    ours, theirs = pair
    ours.meter = Meter()
    sending = Call("thread", ours.sendfile, flood)
    wait_until(lambda: ours.meter.stuck_since)
    theirs.close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        sending.end()
    assert ours.meter.sent == flood.tell()


def test_file_for_whom_is_gone_already_is_not_taken_for_sent(pair, flood):
    """It has been read to its end."""
    ours, theirs = pair
    theirs.close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        ours.sendfile(flood)


def test_file_that_the_system_cannot_send_is_read(pair):
    ours, theirs = pair
    assert 4 == ours.sendfile(io.BytesIO(b"here"))
    assert b"here" == theirs.recv(10)
    with open(os.devnull, "rb") as empty:
        assert 0 == ours.sendfile(empty)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"here")
        file.flush()
        with open(file.name, "ab") as unreadable, pytest.raises(io.UnsupportedOperation):
            ours.sendfile(unreadable)


def test_file_is_refused_as_by_the_standard_library(pair, flood):
    ours, _ = pair
    with pytest.raises(ValueError, match="positive integer"):
        ours.sendfile(flood, count=0)
    ours.setblocking(False)
    with pytest.raises(ValueError, match="non-blocking sockets are not supported"):
        ours.sendfile(flood)


@pytest.fixture
def secure(pair, patched):
    """The same over TLS; the standard library's own does not work under monkey patching."""
    if patched:
        pytest.skip("over TLS, threads use gevent's sockets under monkey patching")
    ours, theirs = pair
    serving = Call(
        "thread",
        lambda: BoundedSSLSocket._create(ours, server_side=True, context=tls.server_context()),
    )
    client = tls.client_context().wrap_socket(theirs, server_hostname="localhost")
    with serving.end() as server, client:
        yield server, client


def test_tls_read_ends_at_the_deadline(secure):
    for read in READS["recv"], READS["recv_into"], READS["rfile"]:
        with pytest.raises(TimeoutError, match="the deadline has passed"), deadline(SHORT):
            read(secure[0])


def test_tls_write_ends_at_the_deadline(secure):
    with pytest.raises(TimeoutError, match="the deadline has passed"), deadline(SHORT):
        secure[0].sendall(FLOOD)


def test_tls_handshake_ends_at_the_deadline(pair, patched):
    if patched:
        pytest.skip("over TLS, threads use gevent's sockets under monkey patching")
    ours, _ = pair
    with pytest.raises(TimeoutError), deadline(SHORT):
        BoundedSSLSocket._create(ours, server_side=True, context=tls.server_context())


def test_tls_is_as_before_after_a_deadline(secure):
    ours, theirs = secure
    with pytest.raises(TimeoutError), deadline(SHORT):
        ours.recv(1)
    assert (None, True) == (ours.gettimeout(), ours.getblocking())
    theirs.sendall(b"still")
    assert b"still" == ours.recv(10)
    ours.sendall(b"here")
    assert b"here" == theirs.recv(10)


def test_tls_second_thread_has_no_deadline(secure):
    """The deadline of one thread is no timeout of the socket they share."""
    ours, theirs = secure
    other = Call("thread", ours.recv, 10)
    with pytest.raises(TimeoutError), deadline(SHORT):
        ours.sendall(FLOOD)
    theirs.sendall(b"late")
    assert b"late" == other.end()


def test_tls_takes_one_reader_and_one_writer(secure):
    """A proxy reads in one thread and writes in another, and neither waits for the other's wait."""
    ours, theirs = secure
    rounds = 200

    def echo():
        for _ in range(rounds):
            theirs.sendall(theirs.recv(1 << 14))

    def read():
        return [ours.recv(1 << 14) for _ in range(rounds)]

    reading, echoing = Call("thread", read), Call("thread", echo)
    sent = [b"%d" % number for number in range(rounds)]
    for data in sent:
        ours.sendall(data)
    assert sent == reading.end()
    echoing.end()


def test_tls_own_timeout_counts_without_a_deadline(secure):
    ours, _ = secure
    ours.settimeout(SHORT)
    assert (SHORT, True) == (ours.gettimeout(), ours.getblocking())
    with pytest.raises(TimeoutError, match="timed out"):
        ours.recv(1)
    with pytest.raises(TimeoutError, match="timed out"), deadline(PATIENCE):
        ours.recv(1)


def test_tls_non_blocking_never_waits(secure):
    ours, _ = secure
    ours.setblocking(False)
    assert (0, False) == (ours.gettimeout(), ours.getblocking())
    with pytest.raises(ssl.SSLWantReadError), deadline(PATIENCE):
        ours.recv(1)
    with pytest.raises(ssl.SSLWantWriteError), deadline(PATIENCE):
        while True:
            ours.send(FLOOD)


def test_tls_non_blocking_write_goes_on_when_it_is_tried_again(secure):
    """As OpenSSL has it, with the same bytes."""
    ours, theirs = secure
    content = os.urandom(1 << 20)

    def read_all():
        data = bytearray()
        while len(data) < len(content):
            data += theirs.recv(1 << 16)
        return data

    ours.meter = Meter()
    ours.setblocking(False)
    with pytest.raises(ssl.SSLWantWriteError):
        ours.sendall(content)
    assert 0 < ours.meter.sent < len(content)
    reading = Call("thread", read_all)
    poll = native.poll()
    poll.register(ours.fileno(), select.POLLOUT)
    while True:
        try:
            ours.sendall(content)
            break
        except ssl.SSLWantWriteError:
            assert poll.poll(PATIENCE * 1000)
    assert content == reading.end()
    assert len(content) == ours.meter.sent


def test_tls_refuses_a_negative_timeout(secure):
    with pytest.raises(ValueError, match="Timeout value out of range"):
        secure[0].settimeout(-1)


@pytest.mark.parametrize("suppressed", [True, False])
def test_tls_ragged_end_is_an_end_unless_it_shall_be_told(secure, suppressed):
    ours, theirs = secure
    ours.suppress_ragged_eofs = suppressed
    native.Socket.shutdown(theirs, socket.SHUT_WR)  # without a word of TLS
    if suppressed:
        assert (b"", 0) == (ours.recv(1), ours.recv_into(bytearray(1)))
    else:
        with pytest.raises(ssl.SSLEOFError):
            ours.recv(1)


def test_tls_shut_down_from_another_thread_ends_a_read(secure):
    """As when a server closes that waits for its handlers no longer."""
    ours, _ = secure
    waiting = Call("thread", ours.recv, 1)
    native.Socket.shutdown(ours, socket.SHUT_RDWR)
    assert b"" == waiting.end()


def test_tls_unwrapped_connection_goes_on_in_plain(secure):
    ours, theirs = secure
    unwrapping = Call("thread", ours.unwrap)
    with theirs.unwrap() as plain:
        assert ours is unwrapping.end()
        answer = Call("thread", ours.recv, 10)
        plain.sendall(b"plain")
        assert b"plain" == answer.end()


def test_tls_closed_socket_refuses(secure):
    ours, _ = secure
    ours.close()
    for refused in (lambda: ours.read(1)), (lambda: ours.write(b"x")):
        with pytest.raises(ValueError):
            refused()
    with pytest.raises(OSError):
        ours.send(b"x")


def test_readiness_is_still_visible_to_selectors(secure):
    ours, theirs = secure
    theirs.sendall(b"x")
    poll = native.poll()
    poll.register(ours.fileno(), select.POLLIN)
    assert poll.poll(PATIENCE * 1000)
    assert b"x" == ours.recv(1)
