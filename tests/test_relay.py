"""Two connections made one, in a thread and on a hub, over TCP, Unix sockets and TLS."""

import errno
import gc
import os
import socket
import struct
from contextlib import ExitStack, contextmanager, suppress

import gevent
import gevent.socket
import gevent.ssl
import pytest
from gevent.exceptions import ConcurrentObjectUseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

import greensock
from greensock.interfaces import IConnectionClosed, IRelay, IRelayed
from greensock.net import handover, native, pipes
from greensock.net.deadlines import GreenDeadline, deadline
from greensock.net.ends import goodbye_of
from greensock.net.hubs import discard_hub
from greensock.net.relay import Relayed, relay
from tests import tls
from tests.helpers import (
    MODELS,
    PATIENCE,
    Call,
    Echo,
    connect,
    descriptors,
    recorded,
    rest,
    served,
    wait_until,
)

MUCH = os.urandom(1 << 20)  # enough for a pipe to be taken
KINDS = ["tcp", "unix", "tls", "tcp to tls"]


def tcp_pair():
    with native.Socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        left = native.Socket()
        left.connect(listener.getsockname())
        fd, _ = listener._accept()
    return left, native.Socket(fileno=fd)


def unix_pair():
    # Made again, for under patching socketpair makes gevent's.
    return [
        native.Socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, each.detach())
        for each in socket.socketpair(socket.AF_UNIX)
    ]


class Scene:
    """Somebody at each end, and the relay between them.

    ``buffers``: of how many bytes each socket has some, instead of such as grow.
    """

    def __init__(self, stack, where, kind, buffers=None, **options):
        self._stack = stack
        self._where = where
        self._buffers = buffers
        self._options = options
        self._kinds = kind.split(" to ") * 2
        self.client, self.a = self._pair(self._kinds[0])
        self.upstream, self.b = self._pair(self._kinds[1])
        self.call = Call(where, self._run)
        for name, kind in zip(("client", "upstream"), self._kinds):
            if kind == "tls":
                setattr(self, name, self._under_tls(getattr(self, name)))

    def _pair(self, kind):
        far, near = unix_pair() if kind == "unix" else tcp_pair()
        if self._buffers is not None:
            for end in far, near:
                for option in socket.SO_SNDBUF, socket.SO_RCVBUF:
                    end.setsockopt(socket.SOL_SOCKET, option, self._buffers)
        far = gevent.socket.socket(far.family, far.type, far.proto, far.detach())
        far.settimeout(PATIENCE)
        return self._stack.enter_context(far), near

    def _under_tls(self, far):
        context = tls.shared_client_context()
        far = gevent.ssl.SSLSocket(far, _context=context, server_hostname="localhost")
        return self._stack.enter_context(far)

    def _run(self):
        ends = [
            self._shaken(suited(end, self._where), kind)
            for end, kind in zip((self.a, self.b), self._kinds)
        ]
        try:
            with ends[0], ends[1]:
                self.a, self.b = ends
                return relay(*ends, **self._options)
        finally:
            if self._where == "thread":
                discard_hub()

    def _shaken(self, end, kind):
        if kind != "tls":
            return end
        end = handover.under_tls(end, tls.shared_server_context())
        handover.shake_hands(end)
        return end


def suited(sock, where):
    """As a handler gets it."""
    if where == "greenlet" or native.is_patched():
        return handover.cooperative(sock)
    return handover.blocking(sock)


@contextmanager
def scene(where, kind="tcp", **options):
    with ExitStack() as stack:
        yield Scene(stack, where, kind, **options)


def finish(sock):
    """Have the peer know that nothing follows."""
    if isinstance(sock, gevent.ssl.SSLSocket):
        sock._sock.send(goodbye_of(sock._sslobj, sock.fileno()))  # its own would read no more
    else:
        sock.shutdown(socket.SHUT_WR)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


everywhere = pytest.mark.parametrize("where", ["greenlet", "thread"])
every_kind = pytest.mark.parametrize("kind", KINDS)


def test_contracts():
    assert verifyObject(IRelay, relay)
    assert verifyObject(IRelayed, Relayed(1, 2, "finished"))


@everywhere
@every_kind
def test_bytes_go_both_ways_until_both_have_said_their_last(where, kind):
    with scene(where, kind) as on:
        on.client.sendall(b"question")
        assert b"question" == on.upstream.recv(100)
        on.upstream.sendall(b"answer")
        assert b"answer" == on.client.recv(100)
        finish(on.client)
        assert b"" == on.upstream.recv(100)
        on.upstream.sendall(b", and more")  # a half-closed connection stays so
        assert b", and more" == on.client.recv(100)
        finish(on.upstream)
        assert b"" == on.client.recv(100)
        assert Relayed(8, 16, "finished") == on.call.end()


@everywhere
@every_kind
def test_much_goes_both_ways_at_once(where, kind):
    """Through a pipe and back to copying, where that can be."""
    with scene(where, kind) as on:
        for _ in range(2):
            sending = [
                gevent.spawn(each.sendall, MUCH) for each in (on.client, on.upstream)
            ]
            for each in on.client, on.upstream:
                received = b"".join(iter_exactly(each, len(MUCH)))
                assert received == MUCH
            gevent.joinall(sending, raise_error=True)
            for _ in range(20):
                on.client.sendall(b"x")
                assert b"x" == on.upstream.recv(10)
        for each in on.client, on.upstream:
            finish(each)
        assert Relayed(2 * len(MUCH) + 40, 2 * len(MUCH), "finished") == on.call.end()


def iter_exactly(sock, count):
    while count:
        data = sock.recv(min(count, 1 << 16))
        assert data
        count -= len(data)
        yield data


@everywhere
@every_kind
def test_who_does_not_read_makes_the_other_wait(where, kind):
    """And gets all of it in the end, although that has ended."""
    with scene(where, kind, buffers=1 << 18) as on:
        blob = MUCH * 4  # more than all buffers hold, and a pipe
        sent = []

        def send():
            for begin in range(0, len(blob), 1 << 14):
                on.client.sendall(blob[begin:begin + (1 << 14)])
                sent.append(begin)
            finish(on.client)

        sending = gevent.spawn(send)
        wait_until(lambda: len(sent) >= 1)
        assert not sending.ready()
        received = b"".join(iter_exactly(on.upstream, len(blob)))
        assert received == blob and b"" == on.upstream.recv(1)
        finish(on.upstream)
        assert Relayed(len(blob), 0, "finished") == on.call.end()
        sending.get()


@everywhere
@pytest.mark.parametrize("kind", ["tcp", "tls"])
@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_reset_is_passed_on(where, kind, who):
    """So that what was cut off is not taken for complete."""
    with scene(where, kind) as on:
        one, other = on.client, on.upstream
        if who == "upstream":
            one, other = other, one
        one.sendall(b"incompl")
        assert b"incompl" == other.recv(100)
        reset(one)
        result = on.call.end()
        assert "reset" == result.reason and isinstance(result.error, OSError)
        if kind == "tls":
            other.suppress_ragged_eofs = False  # of a reset, OpenSSL says no more than that
        with pytest.raises((ConnectionResetError, gevent.ssl.SSLEOFError)):
            other.recv(100)


@everywhere
def test_what_was_said_before_a_reset_is_still_passed_on(where):
    """To write to somebody who has gone does not lose what is still to be read."""
    with scene(where) as on:
        on.upstream.sendall(b"last words")
        wait_until(lambda: on.client.recv(1, socket.MSG_PEEK))
        on.upstream.close()
        with suppress(ConnectionError):  # the first that is sent is answered by a reset
            while True:
                on.client.sendall(b"are you there?")
                gevent.sleep(0)
        with suppress(ConnectionResetError):
            assert b"last words" == on.client.recv(100)
        assert on.call.end().reason in ("closed", "reset")


@everywhere
def test_a_unix_peer_that_has_closed_ends_it(where):
    """Nothing could be delivered to it any more, and nobody would notice."""
    with scene(where, "unix") as on:
        on.client.sendall(b"bye")
        on.client.close()
        assert Relayed(3, 0, "closed") == on.call.end()
        assert b"bye" == rest(on.upstream)


@everywhere
def test_it_ends_when_nothing_was_said_for_too_long(where):
    with scene(where, idle_timeout=0.2) as on:
        for _ in range(5):
            on.client.sendall(b"x")
            on.upstream.recv(1)
            gevent.sleep(0)
        assert Relayed(5, 0, "idle") == on.call.end()


@everywhere
def test_a_deadline_ends_it(where):
    limit = GreenDeadline if where == "greenlet" or native.is_patched() else deadline

    def run(a, b):
        with a, b, pytest.raises(TimeoutError, match="deadline"), limit(0.05):
            relay(a, b)
        assert a.fileno() == b.fileno() == -1

    client, a = tcp_pair()
    upstream, b = tcp_pair()
    with client, upstream:
        Call(where, lambda: run(suited(a, where), suited(b, where))).end()


@everywhere
@pytest.mark.parametrize("value", [0, -1, True, "1", float("nan"), float("inf")])
def test_an_idle_timeout_that_is_none(where, value):
    client, a = tcp_pair()
    with client, a, pytest.raises(ValueError, match="idle_timeout is .*; give a number of seconds"):
        relay(a, a, idle_timeout=value)


def test_what_cannot_be_relayed():
    client, a = tcp_pair()
    with client, a, native.Socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        for other in datagrams, b"bytes", None:
            with pytest.raises(TypeError, match="a relay is between two stream sockets, and this"):
                relay(a, other)
        with native.Socket() as lonely, pytest.raises(OSError) as caught:
            relay(a, lonely)
        assert errno.ENOTCONN == caught.value.errno
        with pytest.raises(OSError) as caught:
            relay(a, lonely)
        assert errno.EBADF == caught.value.errno
        assert a.gettimeout() is None


def test_plain_sockets_are_relayed_on_a_hub_and_are_blocking_again():
    with ExitStack() as stack:
        client, a = map(stack.enter_context, tcp_pair())
        upstream, b = map(stack.enter_context, unix_pair())
        a.settimeout(7)
        gevent.get_hub()
        call = Call("greenlet", relay, a, b)
        gevent.sleep(0)
        client.sendall(b"x")
        gevent.socket.wait_read(upstream.fileno(), PATIENCE)
        assert b"x" == upstream.recv(10)
        client.shutdown(socket.SHUT_WR)
        upstream.shutdown(socket.SHUT_WR)
        assert Relayed(1, 0, "finished") == call.end()
        assert (7, None) == (a.gettimeout(), b.gettimeout())


@pytest.mark.parametrize("reader", ["before", "after"])
def test_nobody_else_reads_meanwhile(reader):
    with ExitStack() as stack:
        client, a = map(stack.enter_context, tcp_pair())
        upstream, b = map(stack.enter_context, tcp_pair())
        a, b = stack.enter_context(handover.cooperative(a)), handover.cooperative(b)
        stack.enter_context(b)
        first, second = (lambda: a.recv(1)), (lambda: relay(a, b))
        if reader == "after":
            first, second = second, first
        one = gevent.spawn(first)
        gevent.sleep(0)
        with pytest.raises(ConcurrentObjectUseError):
            second()
        one.kill()
        client.sendall(b"y")
        assert b"y" == a.recv(1)  # it is as good as new


@pytest.mark.parametrize("which", ["a", "b"])
def test_closing_one_in_another_greenlet_ends_it(which):
    with scene("greenlet") as on:
        on.client.sendall(b"x")
        assert b"x" == on.upstream.recv(10)
        getattr(on, which).close()
        result = on.call.end()
        assert ("reset", errno.EBADF) == (result.reason, result.error.errno)


@everywhere
@pytest.mark.parametrize("what", ["from", "into"])
def test_a_kind_of_socket_that_cannot_be_spliced_is_copied(where, what, monkeypatch):
    fds = []

    def refuse(source, sink, count, **how):
        if not fds:
            fds.append(source)  # the first one reads the socket
        if (source in fds) == (what == "from"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return splice(source, sink, count, **how)

    splice = os.splice
    monkeypatch.setattr(os, "splice", refuse)
    with scene(where) as on:
        sending = gevent.spawn(on.client.sendall, MUCH)
        received = b"".join(iter_exactly(on.upstream, len(MUCH)))
        assert received == MUCH and fds
        sending.get()
        finish(on.client)
        finish(on.upstream)
        assert Relayed(len(MUCH), 0, "finished") == on.call.end()


@everywhere
def test_without_pipes_it_copies(where, monkeypatch):
    monkeypatch.setattr(pipes, "MOST", 0)
    monkeypatch.setattr(pipes, "_idle", [])
    with scene(where) as on:
        sending = gevent.spawn(on.client.sendall, MUCH)
        received = b"".join(iter_exactly(on.upstream, len(MUCH)))
        assert received == MUCH
        sending.get()
        finish(on.client)
        finish(on.upstream)
        assert Relayed(len(MUCH), 0, "finished") == on.call.end()


@everywhere
def test_nothing_is_left_open(where):
    def once():
        with scene(where) as on:
            sending = gevent.spawn(on.client.sendall, MUCH * 2)
            assert MUCH == b"".join(iter_exactly(on.upstream, len(MUCH)))
            reset(on.upstream)
            with suppress(OSError):
                sending.get()
            on.call.end()

    once()
    gc.collect()
    before = descriptors()
    for _ in range(5):
        once()
    gc.collect()
    assert descriptors() <= before + 2  # of a pipe, kept for the next one


class Forward(greensock.BaseRequestHandler):
    """To the server at ``target``."""

    target = None

    def handle(self):
        with self.toolbox.connect(self.target, timeout=PATIENCE) as onward:
            relay(self.request, onward)


def forwarding(model, target, **settings):
    handler = type("Handler", (Forward,), {"target": target})
    cls = type("Server", (greensock.server_class(model),), settings)
    return cls(("127.0.0.1", 0), handler)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_forwards(model, secure):
    """And what goes through is counted."""
    upstream = greensock.GreenletTCPServer(("127.0.0.1", 0), Echo)
    context = tls.server_context() if secure else None
    with served(upstream), recorded(IConnectionClosed) as record:
        proxy = forwarding(model, upstream.server_address, ssl_context=context)
        with served(proxy), (tls.connect if secure else connect)(proxy) as client:
            sending = gevent.spawn(client.sendall, MUCH)
            received = b"".join(iter_exactly(client, len(MUCH)))
            assert received == MUCH
            sending.get()
            client.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: any(event.server is proxy for event in record))
    (event,) = (event for event in record if event.server is proxy)
    assert (len(MUCH), len(MUCH)) == (event.connection.received, event.connection.sent)


@pytest.mark.parametrize("model", MODELS)
def test_what_an_upstream_did_not_finish_is_not_taken_for_complete(model):
    """Its client is reset, too, instead of being told that nothing follows."""
    with gevent.socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        proxy = forwarding(model, listener.getsockname())
        with served(proxy), connect(proxy) as client:
            upstream, _ = listener.accept()
            upstream.sendall(b"the first half")
            assert b"the first half" == b"".join(iter_exactly(client, 14))
            reset(upstream)
            with pytest.raises(ConnectionResetError):
                client.recv(10)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("limit", ["idle_timeout", "request_timeout"])
def test_the_servers_limits_hold(model, limit):
    with gevent.socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        proxy = forwarding(model, silent.getsockname(), **{limit: 0.2})
        with served(proxy), connect(proxy) as client:
            upstream, _ = silent.accept()
            with upstream:
                assert b"" == client.recv(10)
                upstream.settimeout(PATIENCE)
                assert b"" == upstream.recv(10)


actions = st.tuples(
    st.sampled_from(["client", "upstream"]),
    st.sampled_from([1, 100, 5000, 65536, 300_000, "finish"]),
)


@everywhere
@given(script=st.lists(actions, max_size=8), kind=st.sampled_from(KINDS))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_of_words_and_ends_arrives(where, script, kind):
    with scene(where, kind) as on:
        said = {"client": b"", "upstream": b""}
        plans: dict = {"client": [], "upstream": []}
        for who, what in script:
            if what == "finish":
                plans[who].append(None)
            elif None not in plans[who]:
                plans[who].append(what)
                said[who] += MUCH[:what]

        def talk(who):
            sock = getattr(on, who)
            for size in plans[who]:
                if size is not None:
                    sock.sendall(MUCH[:size])
            finish(sock)

        talks = [gevent.spawn(talk, who) for who in said]
        reads = [gevent.spawn(rest, each) for each in (on.upstream, on.client)]
        gevent.joinall([*talks, *reads], timeout=PATIENCE, raise_error=True)
        assert [said["client"], said["upstream"]] == [read.value for read in reads]
        lengths = len(said["client"]), len(said["upstream"])
        assert Relayed(*lengths, "finished") == on.call.end()


def test_a_forked_child_has_pipes_of_its_own():
    """What goes through its parent's is not for it."""
    pipe = pipes.take()
    pipes.give_back(pipe)
    reader, writer = os.pipe()
    if (pid := native.fork()) == 0:
        try:
            other = pipes.take()
            os.write(writer, b"%d" % (os.fstat(other.input).st_ino))
        finally:
            os._exit(0)
    native.waitpid(pid, 0)
    assert os.fstat(pipe.input).st_ino != int(os.read(reader, 100))
    os.close(reader)
    os.close(writer)
