"""What handlers have at hand: files, options and one toolbox, under every model."""

import socket
import time

import pytest

import greensock
from greensock import BaseRequestHandler, StreamRequestHandler
from tests.helpers import LOCAL, MODELS, ask, connect, forks_beside_threads, rest, served

pytestmark = forks_beside_threads

every_model = pytest.mark.parametrize("model", MODELS)


def talk(model, handler, data):
    """What a handler that reads ``data`` and the end of it answers."""
    with served(greensock.server_class(model)(LOCAL, handler)) as server:
        return ask(server, data)


def hear(model, handler):
    """What a handler that reads nothing says."""
    with served(greensock.server_class(model)(LOCAL, handler)) as server, connect(server) as client:
        return rest(client)


@every_model
def test_a_handler_knows_its_request_its_client_and_its_server(model, mailbox):
    class Tell(BaseRequestHandler):
        def handle(self):
            mailbox.put((self.request.getpeername(), self.client_address, self.server.model))

    with served(greensock.server_class(model)(LOCAL, Tell)) as server, connect(server) as client:
        here = client.getsockname()
        assert (here, here, model) == mailbox.get()


@every_model
def test_writing_sends_everything_and_returns_how_much(model, mailbox):
    size = 3_000_000  # more than any buffer on the way

    class Much(StreamRequestHandler):
        def handle(self):
            mailbox.put(self.wfile.write(memoryview(bytes(size))))

    with served(greensock.server_class(model)(LOCAL, Much)) as server, connect(server) as client:
        assert size == len(rest(client))
        assert size == mailbox.get()


@every_model
def test_lines_that_came_together_are_read_one_by_one(model):
    class Reverse(StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(line.strip()[::-1] + b"\n")

    assert b"cba\nfed\n" == talk(model, Reverse, b"abc\ndef\n")


@every_model
def test_a_write_buffer_is_flushed_at_the_end(model):
    class Buffered(StreamRequestHandler):
        wbufsize = 4096

        def handle(self):
            for word in b"one ", b"two ", b"three":
                self.wfile.write(word)

    assert b"one two three" == hear(model, Buffered)


@every_model
def test_finishing_closes_the_files_and_not_the_connection(model):
    class Farewell(StreamRequestHandler):
        def finish(self):
            super().finish()
            closed = self.wfile.closed, self.rfile.closed
            self.connection.sendall(str(closed).encode())

    assert b"(True, True)" == hear(model, Farewell)


@every_model
def test_without_a_read_buffer_only_what_is_asked_for_is_read(model):
    class Unbuffered(StreamRequestHandler):
        rbufsize = 0

        def handle(self):
            first = self.rfile.read(2)
            self.wfile.write(first + b"|" + self.connection.recv(100))

    assert b"he|llo\n" == talk(model, Unbuffered, b"hello\n")


@every_model
def test_a_handlers_timeout_ends_its_waits(model):
    class Impatient(StreamRequestHandler):
        timeout = 0.05

        def handle(self):
            before = time.monotonic()
            try:
                self.rfile.readline()
            except TimeoutError:
                waited = time.monotonic() - before
                self.wfile.write(b"%d" % (waited >= 0.04))

    with served(greensock.server_class(model)(LOCAL, Impatient)) as server:
        with connect(server) as client:
            assert b"1" == rest(client)


@every_model
@pytest.mark.parametrize("disable", [True, False])
def test_nagles_algorithm_can_be_disabled(model, disable):
    class Prompt(StreamRequestHandler):
        disable_nagle_algorithm = disable

        def handle(self):
            option = self.request.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            self.wfile.write(b"%d" % bool(option))

    assert b"%d" % disable == hear(model, Prompt)


@every_model
def test_the_connection_is_the_request(model):
    class Same(StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"%d" % (self.connection is self.request))

    assert b"1" == hear(model, Same)


@every_model
def test_a_request_may_be_read_with_any_of_a_sockets_methods(model):
    class Thorough(BaseRequestHandler):
        def handle(self):
            request = self.request
            buffer = bytearray(2)
            said = [request.recv(2)]
            request.recv_into(buffer)
            said += [bytes(buffer), request.recv(1, socket.MSG_PEEK)]
            said.append(request.recv(1, socket.MSG_WAITALL))
            with request.makefile("rwb") as file:
                file.write(b"|".join(said) + b"|" + file.readline())
                file.flush()
            request.send(b"done")

    assert b"ab|cd|e|e|fgh\ndone" == talk(model, Thorough, b"abcdefgh\n")


@every_model
def test_a_function_may_be_a_handler(model):
    def handler(request, client_address, server):
        request.sendall(server.model.encode())

    assert model.encode() == hear(model, handler)


@every_model
def test_a_function_of_socket_and_address_may_be_a_handler(model):
    def handler(sock, address):
        sock.sendall(address[0].encode())

    assert b"127.0.0.1" == hear(model, handler)


@every_model
def test_half_a_connection_may_be_closed(model, mailbox):
    """The handler has said all and still listens."""

    class Half(StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"bye")
            self.request.shutdown(socket.SHUT_WR)
            mailbox.put(self.rfile.read())

    with served(greensock.server_class(model)(LOCAL, Half)) as server, connect(server) as client:
        assert b"bye" == rest(client)
        client.sendall(b"and you")
        client.shutdown(socket.SHUT_WR)
        assert b"and you" == mailbox.get()
