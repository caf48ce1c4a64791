"""What is posted to a connection arrives whole, in order, and without keeping anybody waiting."""

import _socket
import random
import socket
import struct
from contextlib import contextmanager

import gevent
import pytest

import greensock
from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import IConnectionClosed, IConnectionCut, ISlowConsumer
from greensock.net import native
from tests import tls
from tests.helpers import (
    PATIENCE,
    Call,
    Mailbox,
    connect,
    every_model,
    forks_beside_threads,
    recorded,
    rest,
    served,
    serving,
    wait_until,
)
from tests.overdue import LIMIT, closings, new_server

pytestmark = forks_beside_threads

_HEAD = struct.Struct("!BII")

# Bytes; the system makes a few thousand of it.
NARROW = 4096
MUCH = b"x" * (1 << 20)

with_and_without_tls = pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
hubs_and_threads = pytest.mark.parametrize("model", ["greenlet", "thread"])


def message(sender, number, size):
    """Says whose it is, which, and how long; its bytes can belong to no other."""
    return _HEAD.pack(sender, number, size) + bytes([(sender * 37 + number) % 256]) * size


def exactly(sock, count):
    data = bytearray()
    while len(data) < count and (part := sock.recv(min(count - len(data), 65536))):
        data += part
    return bytes(data)


def heard(sock):
    """The messages that come until the end, which are whole: the numbers of each sender."""
    found: dict = {}
    while head := exactly(sock, _HEAD.size):
        sender, number, size = _HEAD.unpack(head)
        body = exactly(sock, size)
        assert message(sender, number, size) == head + body, "something came in between"
        found.setdefault(sender, []).append(number)
    return found


def server_for(handler, model, secure=False, **attributes):
    if secure:
        attributes["ssl_context"] = tls.shared_server_context()
    return new_server(handler, model, **attributes)


def narrow(server):
    """A client for whom the system keeps little."""
    client = gevent.socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
    client.settimeout(PATIENCE)
    client.connect(server.server_address)
    return client


@contextmanager
def client_of(server):
    with narrow(server) as client:
        if server.ssl_context is None:
            yield client
            return
        client = gevent.ssl.SSLSocket(
            client, _context=tls.shared_client_context(), server_hostname="localhost"
        )
        with tls.leaving(client):
            yield client


class Narrow(BaseRequestHandler):
    """The system keeps little on this side, too."""

    def setup(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NARROW)


COUNT = 25
SENDERS = 4


class Crowd(Narrow):
    """Several post while the handler writes in all the ways there are."""

    def handle(self):
        tasks = [self.toolbox.spawn(self.post_some, sender) for sender in (1, 2)]
        with Mailbox() as mailbox:
            native.start_new_thread(self.post_from_a_thread, (mailbox,))
            self.write_some()
            for task in tasks:
                task.join()
            mailbox.get()

    def post_from_a_thread(self, mailbox):
        self.post_some(3, native.sleep)
        mailbox.put("done")

    def messages(self, sender):
        chance = random.Random(sender)
        for number in range(COUNT):
            yield message(sender, number, chance.choice((0, 10, 3000, 40_000)))

    def post_some(self, sender, sleep=None):
        for number, data in enumerate(self.messages(sender)):
            assert self.post(data if number % 2 else memoryview(data))
            if number % 5 == 0:
                (sleep or self.toolbox.sleep)(0.0005)

    def write_some(self):
        for data in self.messages(0):
            if len(data) < 1000:
                assert len(data) == self.request.send(data)
            else:
                self.request.sendall(data)


@every_model
@with_and_without_tls
def test_nothing_is_lost_and_nothing_comes_in_between(model, secure):
    """And what was posted when the handler returned is still sent."""
    with served(server_for(Crowd, model, secure, send_buffer=None)) as server:
        with client_of(server) as client:
            expected = {sender: list(range(COUNT)) for sender in range(SENDERS)}
            assert expected == heard(client)


class Open(Narrow):
    """Tells of itself, and waits for the peer's end."""

    def handle(self):
        self.server.mailbox.put("open")
        self.request.recv(1)


def test_a_post_that_waits_keeps_nobody_waiting(mailbox):
    """Its sender goes on at once, and its receiver gets all of it, whenever that is."""
    with served(server_for(Open, "greenlet")) as server:
        server.mailbox = mailbox
        with narrow(server) as client:
            mailbox.get()
            (connection,) = server.connections
            assert connection.post(MUCH)
            assert connection.sent < len(MUCH)
            assert MUCH == exactly(client, len(MUCH))
            wait_until(lambda: connection.sent == len(MUCH))
            assert not connection.stuck_since


class Told(Narrow):
    """Says two things for each byte."""

    def handle(self):
        while self.request.recv(1):
            self.request.sendall(message(0, 0, 10))
            self.request.send(message(0, 1, 10))


@hubs_and_threads
@with_and_without_tls
def test_a_handler_writes_after_what_was_posted_before(model, secure):
    with served(server_for(Told, model, secure)) as server, client_of(server) as client:
        wait_until(lambda: server.connections and server.connections[0].state == "open")
        (connection,) = server.connections
        assert connection.post(message(1, 0, 300_000))
        client.sendall(b"w")
        wait_until(lambda: connection.received)
        order = []
        for size in 300_000, 10, 10:
            sender, number, _ = _HEAD.unpack(exactly(client, _HEAD.size))
            assert message(sender, number, size)[_HEAD.size:] == exactly(client, size)
            order.append((sender, number))
        assert [(1, 0), (0, 0), (0, 1)] == order


class Stuck(Narrow):
    """Writes more than there is room for."""

    def handle(self):
        self.server.mailbox.put("open")
        self.request.sendall(message(0, 0, 300_000))


@hubs_and_threads
@with_and_without_tls
def test_what_is_posted_comes_after_what_a_handler_is_about_to_write(model, secure, mailbox):
    with served(server_for(Stuck, model, secure)) as server:
        server.mailbox = mailbox
        with client_of(server) as client:
            mailbox.get()
            (connection,) = server.connections
            wait_until(lambda: connection.stuck_since)
            for number in range(3):
                assert connection.post(message(1, number, 100))
            assert {0: [0], 1: [0, 1, 2]} == heard(client)


@every_model
def test_a_subscriber_may_post_before_the_handler_begins(model):
    """What waits for the handshake is sent after it, and in a child process by that."""
    server = server_for(Told, model, secure=True)
    with recorded(IConnectionClosed), served(server):

        def greet(event):
            assert event.connection.post(b"welcome")

        greensock.events.subscribe(greensock.interfaces.IConnectionOpened, greet)
        try:
            with client_of(server) as client:
                assert b"welcome" == exactly(client, 7)
        finally:
            greensock.events.unsubscribe(greensock.interfaces.IConnectionOpened, greet)


class Switching(StreamRequestHandler):
    """Posts before it switches to TLS, meanwhile, and afterwards."""

    def handle(self):
        assert self.post(b"plain\n")
        self.rfile.readline()
        self.wfile.write(b"ready\n")
        self.switch_to_tls()
        assert self.post(b"secret\n")


@every_model
def test_posting_goes_on_under_tls(model):
    context = tls.shared_server_context()
    server = new_server(Switching, model, ssl_context=context, implicit_tls=False)
    with served(server), connect(server) as client:
        assert b"plain\n" == client.recv(100)
        client.sendall(b"go on\n")
        assert b"ready\n" == client.recv(100)
        client = gevent.ssl.SSLSocket(
            client, _context=tls.shared_client_context(), server_hostname="localhost"
        )
        with tls.leaving(client):
            assert b"secret\n" == rest(client)


class Flood(Narrow):
    """Posts until nothing more is taken, and tells how often."""

    def handle(self):
        taken = 0
        while taken < 10_000 and self.post(bytes(1000)):
            taken += 1
        self.server.mailbox.put(taken)
        self.toolbox.sleep(0)
        self.server.mailbox.put([self.post(b"x"), self.request.meter.post(b"x")])


@every_model
@with_and_without_tls
def test_who_reads_too_slowly_is_cut(model, secure, mailbox):
    server = server_for(Flood, model, secure, send_buffer=100_000)
    with recorded(IConnectionCut, IConnectionClosed) as record, served(server):
        server.mailbox = mailbox
        with client_of(server):
            assert 100 <= mailbox.get() < 10_000
            assert [False, False] == mailbox.get()
            wait_until(lambda: closings(record))
    assert ["slow_consumer"] == closings(record)
    assert ["slow_consumer"] == [each.reason for each in record if IConnectionCut.providedBy(each)]


@hubs_and_threads
@with_and_without_tls
def test_messages_are_left_out_whole_for_who_reads_too_slowly(model, secure, mailbox):
    """One event tells of it, until all that waited was read."""
    server = server_for(Open, model, secure, send_buffer=50_000, slow_consumer="drop")
    with recorded(ISlowConsumer) as record, served(server):
        server.mailbox = mailbox
        with client_of(server) as client:
            mailbox.get()
            (connection,) = server.connections
            expected = []
            for episode in 0, 1:
                taken = [connection.post(message(episode, n, 1000)) for n in range(40)]
                wait_until(lambda: connection.stuck_since)  # now the hub knows it as well
                taken += [connection.post(message(episode, n, 1000)) for n in range(40, 1000)]
                missed = taken.count(False)
                assert taken[0] and 0 < missed
                assert episode + 1 == len(record)
                assert (connection, server) == (record[-1].connection, record[-1].server)
                assert 0 < record[-1].waiting <= 50_000
                expected += [(episode, n) for n in range(1000) if taken[n]]
                for _ in range(taken.count(True)):
                    sender, number, size = _HEAD.unpack(exactly(client, _HEAD.size))
                    assert message(sender, number, size)[_HEAD.size:] == exactly(client, size)
                    assert expected.pop(0) == (sender, number)
                wait_until(lambda: not connection.stuck_since)
    assert 1 == record[0].dropped < record[1].dropped


@every_model
@with_and_without_tls
def test_a_frozen_reader_is_cut_by_the_send_timeout(model, secure):
    """While the handler waits for something else."""

    class Posts(Narrow):
        def handle(self):
            self.post(MUCH)
            self.request.recv(1)

    server = server_for(Posts, model, secure, send_timeout=LIMIT, send_buffer=None)
    with recorded(IConnectionClosed) as record, served(server), client_of(server):
        wait_until(lambda: closings(record))
    assert ["send_timeout"] == closings(record)


@every_model
def test_a_frozen_reader_is_cut_when_its_handler_has_returned(model):
    class Leaves(Narrow):
        def handle(self):
            self.post(MUCH)

    server = server_for(Leaves, model, send_timeout=LIMIT, send_buffer=None)
    with recorded(IConnectionClosed) as record, served(server), client_of(server):
        wait_until(lambda: closings(record))
    assert ["send_timeout"] == closings(record)


@hubs_and_threads
def test_nothing_is_taken_when_the_connection_has_closed(model, mailbox):
    with recorded(IConnectionClosed) as record, served(server_for(Open, model)) as server:
        server.mailbox = mailbox
        with connect(server):
            mailbox.get()
            (connection,) = server.connections
            assert connection.post(b"x")
        wait_until(lambda: record)
        assert not connection.post(b"x")
        with connect(server) as client:
            mailbox.get()
            (connection,) = server.connections
            assert server.kick(connection) and not connection.post(b"x")
            assert b"" == rest(client)


@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_a_drain_waits_for_what_was_posted(model, mailbox):
    class Closing(Open):
        def draining(self):
            self.post(MUCH + b"bye")

    server = server_for(Closing, model, send_buffer=None)
    server.mailbox = mailbox
    with serving(server) as call, narrow(server) as client:
        mailbox.get()
        drain = Call("thread", server.drain, PATIENCE)
        assert MUCH + b"bye" == rest(client)
        client.close()
        assert [] == drain.end()
        call.end()


def test_a_drain_that_takes_too_long_cuts(mailbox):
    server = server_for(Open, "greenlet")
    server.mailbox = mailbox
    with serving(server) as call, narrow(server):
        mailbox.get()
        (connection,) = server.connections
        assert connection.post(MUCH)
        assert [connection] == Call("thread", server.drain, LIMIT).end()
        call.end()
    assert not connection.post(b"x")


class Parked(Narrow):
    parked = True

    def handle(self):
        self.server.mailbox.put(self.request.recv(100))


def test_a_handler_at_rest_is_posted_to_and_goes_on_resting(mailbox):
    with served(server_for(Parked, "greenlet")) as server:
        server.mailbox = mailbox
        with narrow(server) as client:
            client.sendall(b"hello")
            assert b"hello" == mailbox.get()
            (connection,) = server.connections
            wait_until(lambda: connection.state == "parked")
            assert connection.post(MUCH)
            assert MUCH == exactly(client, len(MUCH))
            assert "parked" == connection.state
            assert mailbox.is_empty()
            client.sendall(b"again")
            assert b"again" == mailbox.get()


@hubs_and_threads
@with_and_without_tls
@pytest.mark.parametrize("parked", [False, True], ids=["waiting", "parked"])
def test_who_hangs_up_lets_all_that_was_posted_go_out(model, secure, parked, mailbox):
    """From another thread, while the handler waits for a peer who says nothing."""

    class Listening(StreamRequestHandler):
        def setup(self):
            super().setup()
            self.server.mailbox.put("here")

        def handle(self):
            assert b"" == self.rfile.read()

        def finish(self):
            super().finish()
            self.server.mailbox.put("finished")

    Listening.parked = parked
    server = server_for(Listening, model, secure, send_buffer=None)
    server.mailbox = mailbox
    with recorded(IConnectionClosed) as record, served(server), client_of(server) as client:
        assert "here" == mailbox.get()
        (connection,) = server.connections
        assert connection.post(MUCH) and connection.hang_up()
        assert MUCH == rest(client)
        assert "finished" == mailbox.get()
        wait_until(lambda: record)
        assert not connection.hang_up()
    assert ["finished"] == closings(record)


def test_half_of_the_connection_may_be_shut_after_a_post():
    class Says(Narrow):
        def handle(self):
            self.post(MUCH)
            self.request.shutdown(socket.SHUT_WR)
            assert not self.post(b"more")
            self.server.mailbox.put(self.request.recv(10))

    with Mailbox() as mailbox, served(server_for(Says, "greenlet", send_buffer=None)) as server:
        server.mailbox = mailbox
        with narrow(server) as client:
            assert MUCH == rest(client)
            client.sendall(b"thanks")
            assert b"thanks" == mailbox.get()


@every_model
@pytest.mark.parametrize("wrong", ["text", 1, None])
def test_what_cannot_be_posted(model, wrong, mailbox):
    class Wrong(BaseRequestHandler):
        def handle(self):
            try:
                self.post(wrong)
            except TypeError as error:
                self.server.mailbox.put(str(error))

    with served(server_for(Wrong, model)) as server:
        server.mailbox = mailbox
        with connect(server) as client:
            assert "bytes-like" in mailbox.get()
            assert b"" == rest(client)


def test_a_bytearray_may_be_changed_afterwards(mailbox):
    with served(server_for(Open, "greenlet")) as server:
        server.mailbox = mailbox
        with narrow(server) as client:
            mailbox.get()
            (connection,) = server.connections
            data = bytearray(MUCH)
            assert connection.post(data)
            data[:] = b"y" * len(data)
            del data[5:]
            assert MUCH == exactly(client, len(MUCH))


class Relays(Narrow):
    """Posts, and goes on with what another connection says."""

    def handle(self):
        ours, theirs = _socket.socketpair()
        ours = native.Socket(fileno=ours.detach())
        self.post(MUCH)
        with ours:
            theirs.sendall(b"relayed")
            self.server.relayed = greensock.relay(self.request, ours, idle_timeout=8 * LIMIT)
        theirs.close()


@hubs_and_threads
@with_and_without_tls
def test_what_is_posted_comes_before_a_relay_or_after_it(model, secure):
    with served(server_for(Relays, model, secure)) as server, client_of(server) as client:
        assert MUCH + b"relayed" == exactly(client, len(MUCH) + 7)
        (connection,) = server.connections
        assert connection.post(b"after")
        assert b"after" == rest(client)
    assert (0, 7, "idle") == (server.relayed.forth, server.relayed.back, server.relayed.reason)


def test_a_hub_that_is_busy_does_not_make_its_peers_slow(mailbox):
    """What other threads post meanwhile waits for the hub, and not for who reads."""

    class Busy(Open):
        def handle(self):
            self.server.mailbox.put("open")
            gate.acquire()  # which stops the hub as well
            super().handle()

    gate = native.allocate_lock()
    gate.acquire()
    server = server_for(Busy, "greenlet", send_buffer=1000)
    with recorded(IConnectionCut) as record, served(server):
        server.mailbox = mailbox
        with connect(server) as client:
            mailbox.get()
            (connection,) = server.connections
            assert [True] * 100 == [connection.post(bytes(100)) for _ in range(100)]
            gate.release()
            assert bytes(10_000) == exactly(client, 10_000)
    assert [] == record
