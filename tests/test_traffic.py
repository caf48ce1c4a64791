"""What went over a connection is counted, whatever reads and writes."""

import io
import os
import socket
import tempfile
from contextlib import suppress

import pytest

from greensock import BaseRequestHandler, StreamRequestHandler
from tests import tls
from tests.books import ParkedEcho, ParkedLines, closing_record, new_server
from tests.helpers import (
    MODELS,
    PATIENCE,
    Echo,
    connect,
    every_model,
    every_other,
    forks_beside_threads,
    rest,
    served,
    wait_until,
)

pytestmark = forks_beside_threads

# Bytes, more than the system takes for a peer that does not read, if the server has small buffers.
MUCH = os.urandom(4 << 20)


def one_connection(server, data, where="thread"):
    """What a client hears that sends ``data`` and ends, and its connection once it is closed."""
    with closing_record() as record, served(server, where):
        with connect(server) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            answer = rest(client)
        wait_until(lambda: record)
    [event] = record
    assert event.server is server
    return answer, event.connection


class Files(StreamRequestHandler):
    """Reads lines, and writes them through wfile."""

    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class BufferedFiles(Files):
    rbufsize = 0
    wbufsize = 100


class Lowest(BaseRequestHandler):
    """Reads and writes by all the methods there are."""

    def handle(self):
        request = self.request
        request.recv(1, socket.MSG_PEEK)
        data = read_exactly(request, 4)
        buffer = bytearray(4)
        count = request.recv_into(buffer, 3)
        data += buffer[:count]
        count = request.recv_into(memoryview(buffer)[:2])
        data += buffer[:count]
        data += request.recvfrom(2)[0]
        count = request.recvfrom_into(buffer, 1)[0]
        data += buffer[:count]
        data += request.recvmsg(1)[0]
        count = request.recvmsg_into([buffer])[0]
        data += buffer[:count]
        while more := request.recv(100):
            data += more
        request.sendall(data)
        request.sendall(memoryview(b"0123").cast("I"))
        assert 2 == request.send(b"45")
        assert 4 == request.sendmsg([b"67", b"89"])
        assert 1 == request.sendto(b"a", self.client_address)
        with request.makefile("wb") as file:
            file.write(b"bcd")
        with request.makefile("w") as file:
            file.write("e")
        assert 3 == request.sendfile(NoFile(b"fgh"))


class NoFile(io.BytesIO):
    """Has no descriptor, so that the socket has to send it by its own methods."""


def read_exactly(request, count):
    data = b""
    while len(data) < count:
        data += request.recv(count - len(data))
    return data


class Big(BaseRequestHandler):
    """Answers with more than the system takes at once."""

    def handle(self):
        self.request.recv(100)
        self.request.sendall(b"x" * 3_000_000)


class TimedEcho(Echo):
    def setup(self):
        self.request.settimeout(PATIENCE)


@every_other(
    model=MODELS,
    handler=[Echo, Files, BufferedFiles, Lowest, Big, TimedEcho, ParkedEcho, ParkedLines],
)
def test_every_byte_is_counted(model, handler):
    data = b"one\ntwo\nthree, which is longer\n"
    answer, connection = one_connection(new_server(model, handler), data)
    assert (len(data), len(answer)) == (connection.received, connection.sent)
    assert "finished" == connection.reason
    assert len(answer) >= len(data)


@every_model
def test_the_counters_move_while_the_handler_is_at_work(model):
    with served(new_server(model, Echo)) as server, connect(server) as client:
        for number in range(1, 4):
            client.sendall(b"x" * 1000)
            assert b"x" * 1000 == client.recv(1000, socket.MSG_WAITALL)
            [connection] = server.connections
            assert 1000 * number == connection.received
            # The client may have the bytes before the handler knows that they were sent.
            wait_until(lambda n=number, c=connection: 1000 * n == c.sent)
        client.shutdown(socket.SHUT_WR)


@every_other(model=MODELS, seconds=[None, PATIENCE])
def test_a_file_is_counted_and_sent_from_where_it_was_asked(model, seconds):
    content = os.urandom(200_000)

    class SendFile(BaseRequestHandler):
        def handle(self):
            with tempfile.TemporaryFile() as file, self.toolbox.deadline(seconds):
                file.write(content)
                file.flush()
                counts = [
                    self.request.sendfile(file, 1000, 150_000),
                    self.request.sendfile(file, offset=100),
                ]
                self.request.sendall(repr((*counts, file.tell())).encode())

    answer, connection = one_connection(new_server(model, SendFile), b"")
    expected = content[1000:151_000] + content[100:] + b"(150000, 199900, 200000)"
    assert expected == answer
    assert len(expected) == connection.sent


def server_with_small_buffers(model, handler):
    server = new_server(model, handler, ssl_context=tls.shared_server_context())
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)  # for all it accepts
    return server


@every_model
def test_the_counters_move_during_one_long_write_over_tls(model):
    """A client that reads on is seen to do so."""

    class Write(BaseRequestHandler):
        def handle(self):
            self.request.sendall(MUCH)

    server = server_with_small_buffers(model, Write)
    with served(server), tls.connect(server) as client:
        [connection] = server.connections
        wait_until(lambda: connection.sent)
        before = connection.sent
        while connection.sent == before:
            client.recv(1 << 16)
        assert before < connection.sent < len(MUCH)
        while client.recv(1 << 16):
            pass


@every_model
def test_a_write_over_tls_that_timed_out_can_be_tried_again(model, mailbox):
    """As the standard library's can, with the same bytes."""

    class TryAgain(BaseRequestHandler):
        def handle(self):
            self.request.settimeout(0.01)
            with pytest.raises(TimeoutError):
                self.request.send(MUCH)
            mailbox.put("timed out")
            self.request.settimeout(PATIENCE)
            mailbox.put(self.request.send(MUCH))

    server = server_with_small_buffers(model, TryAgain)
    with closing_record() as record, served(server), tls.connect(server) as client:
        assert "timed out" == mailbox.get()
        answer = bytearray()
        while data := client.recv(1 << 16):
            answer += data
        assert len(MUCH) == mailbox.get()
        wait_until(lambda: record)
    assert MUCH == answer
    assert ("finished", len(MUCH)) == (record[0].connection.reason, record[0].connection.sent)


@every_model
def test_what_was_sent_before_the_peer_broke_off_counts(model):
    class Pour(BaseRequestHandler):
        def handle(self):
            self.request.recv(1)
            with suppress(OSError):
                while True:
                    self.request.sendall(b"x" * 100_000)

    with closing_record() as record, served(new_server(model, Pour)) as server:
        with connect(server) as client:
            client.sendall(b"x")
            client.recv(1)
            wait_until(lambda: server.connections[0].sent >= 100_000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: record)
    assert record[0].connection.sent >= 100_000
