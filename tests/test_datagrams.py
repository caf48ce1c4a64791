"""Servers of datagrams: whole packets, and one socket for everybody."""

import gc
import socket
import sys

import gevent
import gevent.socket
import pytest

import greensock
from greensock import BaseRequestHandler
from greensock.interfaces import IDatagramsDropped, IDatagramTruncated
from greensock.net import native
from tests.helpers import (
    LOCAL,
    MODELS,
    Call,
    ShoutDatagram,
    ask,
    connect,
    count_workers,
    descriptors,
    everywhere,
    forks_beside_threads,
    recorded,
    served,
    serving,
    unmeasured,
)

pytestmark = forks_beside_threads

every_model = pytest.mark.parametrize("model", MODELS)


def new_server(model, handler=ShoutDatagram, **attributes):
    return type("Server", (greensock.server_class(model, "udp"),), attributes)(LOCAL, handler)


@every_model
@everywhere
def test_datagrams_are_answered(model, where):
    with served(new_server(model), where) as server:
        for _ in range(3):
            assert b"HELLO\n" == ask(server)


@every_model
def test_a_long_datagram_arrives_whole(model, mailbox):
    def handler(request, client_address, server):
        mailbox.put(len(request[0]))

    with recorded(IDatagramTruncated) as record, served(new_server(model, handler)) as server:
        with connect(server) as client:
            client.send(b"x" * 20_000)
            client.send(b"x" * 65_507)  # the longest there is
            assert {20_000, 65_507} == set(mailbox.take(2))
    assert [] == record


@every_model
def test_a_datagram_that_had_to_be_cut_is_reported(model, mailbox):
    def handler(request, client_address, server):
        mailbox.put(request[0])

    server = new_server(model, handler, max_packet_size=4)
    with recorded(IDatagramTruncated) as record, served(server), connect(server) as client:
        client.send(b"abcd")
        client.send(b"abcde")
        assert [b"abcd", b"abcd"] == mailbox.take(2)
        address = client.getsockname()
    assert [(server, address, 4)] == [(e.server, e.client_address, e.kept) for e in record]


@every_model
def test_an_empty_datagram_is_one(model, mailbox):
    def handler(request, client_address, server):
        mailbox.put(request[0])

    with served(new_server(model, handler)) as server, connect(server) as client:
        client.send(b"")
        assert b"" == mailbox.get()


@every_model
def test_a_handler_may_send_with_the_socket_of_the_request(model):
    def handler(request, client_address, server):
        data, sock = request
        sock.sendto(data[::-1], client_address)

    with served(new_server(model, handler)) as server:
        assert b"olleh" == ask(server, b"hello")


@every_model
def test_a_handler_that_raises_has_its_answer_sent_so_far(model):
    class Half(greensock.DatagramRequestHandler):
        def handle(self):
            self.wfile.write(b"half")
            raise RuntimeError("no other half")

    with served(new_server(model, Half)) as server:
        assert b"half" == ask(server)


@every_model
def test_an_answer_without_a_word_is_an_empty_datagram(model):
    class Silent(greensock.DatagramRequestHandler):
        def handle(self):
            assert self.packet == self.rfile.read()

    with served(new_server(model, Silent)) as server:
        assert b"" == ask(server)


@every_model
@everywhere
def test_a_burst_is_answered(model, where):
    with served(new_server(model), where) as server, connect(server) as client:
        expected = {b"%d" % number for number in range(5)}
        for data in expected:
            client.send(data)
        assert expected == {client.recv(100) for _ in expected}


@pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])
@everywhere
def test_handlers_may_answer_until_the_server_is_closed(model, where, mailbox):
    """Closing it waits for them."""

    class Late(greensock.DatagramRequestHandler):
        def handle(self):
            mailbox.put("begun")
            self.toolbox.sleep(0.05)
            self.wfile.write(b"late")

    server = new_server(model, Late)
    with serving(server, where) as call, connect(server) as client:
        client.send(b"hello")
        mailbox.get()
        server.server_close()
        assert b"late" == client.recv(100)
        call.end()


@every_model
@everywhere
def test_a_server_of_datagrams_leaves_no_descriptor(model, where):
    def whole_life():
        with served(new_server(model), where) as server:
            assert b"HELLO\n" == ask(server)

    whole_life()
    before = descriptors()
    whole_life()
    assert before >= descriptors()


def test_a_request_that_outlives_a_server_nobody_closed_closes_nothing_of_others(mailbox):
    """Its socket is another object for the descriptor of the server's."""
    kept = []
    server = new_server("greenlet", lambda request, *rest: kept.append(request))
    with connect(server) as client:
        client.send(b"hello")
        server.handle_request()
        gevent.sleep(0)
        with pytest.warns(ResourceWarning):
            del server
            gc.collect()
        (request,) = kept
        with socket.socket() as innocent:
            fd = innocent.fileno()
            kept.clear()
            del request
            gc.collect()
            assert fd == socket.socket.fileno(innocent)
            innocent.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)


@every_model
def test_a_server_may_go_from_one_thread_to_another(model):
    with new_server(model) as server:
        for where in "thread", "greenlet", "thread":
            call = Call(where, server.serve_forever)
            assert b"HELLO\n" == ask(server)
            server.shutdown()
            call.end()


@every_model
def test_requests_of_any_shape_reach_their_handler(model, mailbox):
    """Only datagrams with the server's own socket are touched."""

    class Server(greensock.server_class(model, "udp")):
        def get_request(self):
            (data, _), client_address = super().get_request()
            return (data, "and", "more"), client_address

    def handler(request, client_address, server):
        mailbox.put(request)

    with served(Server(LOCAL, handler)) as server, connect(server) as client:
        client.send(b"hello")
        assert (b"hello", "and", "more") == mailbox.get()


class TestWorkers:
    """Datagrams under the greenlet model: a bounded number of handlers at work."""

    @unmeasured
    def test_greenlets_are_used_again_and_their_number_is_bounded(self, monkeypatch):
        at_work, most, greenlets = [], [], count_workers(monkeypatch)

        class Work(ShoutDatagram):
            def handle(self):
                at_work.append(None)
                most.append(len(at_work))
                gevent.sleep(0.001)
                at_work.pop()
                super().handle()

        with served(new_server("greenlet", Work, max_workers=3)) as server:
            answers = [gevent.spawn(ask, server) for _ in range(30)]
            assert 30 * [b"HELLO\n"] == [answer.get(timeout=30) for answer in answers]
        assert 3 == max(most) == len(greenlets)

    @unmeasured
    def test_handlers_that_do_not_wait_need_one_greenlet(self, monkeypatch):
        greenlets = count_workers(monkeypatch)
        with served(new_server("greenlet")) as server:
            for _ in range(5):
                assert b"HELLO\n" == ask(server)
        assert 1 == len(greenlets)

    def test_a_handler_that_waits_keeps_no_other_waiting(self):
        class Wait(ShoutDatagram):
            def handle(self):
                if self.packet == b"wait\n":
                    gevent.sleep(1000)
                super().handle()

        server = new_server("greenlet", Wait, drain_timeout=0)
        with served(server):
            with connect(server) as stuck, connect(server) as client:
                for _ in range(3):
                    stuck.send(b"wait\n")
                client.send(b"go\n")
                assert b"GO\n" == client.recv(100)

    @pytest.mark.parametrize("wrong", [0, -1, "3", 2.5])
    def test_a_wrong_number_is_told(self, wrong):
        with pytest.raises(ValueError, match=f"max_workers is {wrong!r}"):
            new_server("greenlet", max_workers=wrong)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts them")
@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
def test_dropped_datagrams_are_counted_and_told_of(model):
    server = new_server(model)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    with recorded(IDatagramsDropped) as record:
        with serving(server) as call:
            assert b"HELLO\n" == ask(server)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
                for _ in range(1000):
                    flood.sendto(bytes(1000), server.server_address)
            server.shutdown()
            call.end()
        server.server_close()
    assert sum(event.count for event in record) == record[-1].total > 0


@pytest.mark.parametrize("model", ["inline", "greenlet"])
def test_many_handlers_may_wait_to_send(model, tmp_path):
    """The queue of a Unix datagram socket is short: all but a few have to wait for the reader."""
    count = 50

    class Late(BaseRequestHandler):
        def handle(self):
            data, sock = self.request
            for _ in range(5):
                sock.sendto(data, str(tmp_path / "reader"))

    server = type("Server", (greensock.server_class(model, "unixgram"),), {})(
        str(tmp_path / "server"), Late
    )
    with gevent.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader, served(server):
        reader.bind(str(tmp_path / "reader"))
        reader.settimeout(30)

        def send():
            # Not gevent's, which says 0 bytes were sent and goes on.
            with native.Socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                for number in range(count):
                    while True:
                        try:
                            client.sendto(b"%d" % number, str(tmp_path / "server"))
                            break
                        except BlockingIOError:
                            gevent.sleep(0.001)

        sending = gevent.spawn(send)
        gevent.sleep(0.05)  # until nobody can go on
        got = sorted(int(reader.recv(100)) for _ in range(5 * count))
        sending.get(timeout=30)
    assert sorted(5 * list(range(count))) == got
