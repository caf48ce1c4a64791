"""What the servers do before, between and after requests, as ``socketserver`` does it."""

import errno
import re
import socket
import socketserver

import pytest

import greensock
from tests.helpers import (
    LOCAL,
    MODELS,
    Call,
    Crash,
    Echo,
    Shout,
    ShoutDatagram,
    ask,
    connect,
    descriptors,
    forks_beside_threads,
    rest,
    served,
    somewhere,
)

pytestmark = forks_beside_threads

HOOKS = [
    "server_bind",
    "server_activate",
    "get_request",
    "verify_request",
    "process_request",
    "process_request_thread",
    "finish_request",
    "handle_error",
    "shutdown_request",
    "close_request",
]
STEPS = ["setup", "handle", "finish"]


def traced(base, names, mailbox):
    """``base`` telling the mailbox when one of its methods begins."""

    def tracing(name):
        inherited = getattr(base, name)

        def method(self, *args):
            mailbox.put(name)
            return inherited(self, *args)

        return method

    return type(base.__name__, (base,), {n: tracing(n) for n in names if hasattr(base, n)})


def fails(*args):
    raise RuntimeError("it fails")


class Greet(greensock.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"hello\n")


IN_WORKER = {
    "inline": [],
    "greenlet": ["process_request_thread"],
    "thread": ["process_request_thread"],
    "fork": [],
}
TAKEN = ["get_request", "verify_request", "process_request"]
ENDED = ["shutdown_request", "close_request"]


def calls_of_one_request(model, handler, mailbox, **overrides):
    """What one request calls of the server and of its handler, in the process that does."""
    base = type("Server", (greensock.server_class(model),), overrides)
    server = traced(base, HOOKS, mailbox)(LOCAL, traced(handler, STEPS, mailbox))
    assert ["server_bind", "server_activate"] == mailbox.take(2)
    with served(server), connect(server) as client:
        rest(client)
    calls = []
    while not mailbox.is_empty():
        calls.append(mailbox.get())
    if model == "fork" and "process_request" in calls:
        calls.remove("close_request")  # the parent's, whenever it comes
    return calls


@pytest.mark.parametrize("model", MODELS)
def test_a_request_passes_the_hooks_in_the_order_of_socketserver(model, mailbox):
    expected = [*TAKEN, *IN_WORKER[model], "finish_request", *STEPS, *ENDED]
    assert expected == calls_of_one_request(model, Greet, mailbox)


@pytest.mark.parametrize("model", MODELS)
def test_a_handler_that_raises_is_finished_reported_and_shut_down(model, mailbox):
    expected = [*TAKEN, *IN_WORKER[model], "finish_request", *STEPS, "handle_error", *ENDED]
    assert expected == calls_of_one_request(model, Crash, mailbox)


@pytest.mark.parametrize("model", MODELS)
def test_a_handler_that_cannot_set_up_is_neither_run_nor_finished(model, mailbox):
    class Unready(Greet):
        setup = fails

    expected = [*TAKEN, *IN_WORKER[model], "finish_request", "setup", "handle_error", *ENDED]
    assert expected == calls_of_one_request(model, Unready, mailbox)


@pytest.mark.parametrize("model", MODELS)
def test_an_unverified_request_is_shut_down_at_once(model, mailbox):
    calls = calls_of_one_request(model, Greet, mailbox, verify_request=lambda *args: False)
    assert ["get_request", "verify_request", *ENDED] == calls


@pytest.mark.parametrize("model", MODELS)
def test_a_verification_that_raises_is_reported_and_the_request_shut_down(model, mailbox):
    calls = calls_of_one_request(model, Greet, mailbox, verify_request=fails)
    assert ["get_request", "verify_request", "handle_error", *ENDED] == calls


@pytest.mark.parametrize("model", MODELS)
def test_a_request_that_cannot_be_processed_is_reported_and_shut_down(model, mailbox):
    calls = calls_of_one_request(model, Greet, mailbox, process_request=fails)
    if model == "fork":
        assert calls.pop() == "shutdown_request"  # close_request was taken for the parent's
        assert [*TAKEN, "handle_error"] == calls
    else:
        assert [*TAKEN, "handle_error", *ENDED] == calls


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("step", ["server_bind", "server_activate"])
def test_a_server_that_cannot_be_built_is_closed_and_holds_nothing(model, step, mailbox):
    """It is so before a subclass's constructor has finished."""

    class Server(greensock.server_class(model)):
        def __init__(self):
            super().__init__(LOCAL, Echo)
            self.is_finished = True

        def server_close(self):
            mailbox.put((self.socket.fileno() > 0, hasattr(self, "is_finished")))
            super().server_close()

    setattr(Server, step, fails)
    before = descriptors()
    with pytest.raises(RuntimeError, match="it fails"):
        Server()
    assert (True, False) == mailbox.get()
    assert before >= descriptors()


def test_an_address_in_use_is_an_oserror_and_leaks_nothing():
    with greensock.TCPServer(LOCAL, Echo) as server:
        before = descriptors()
        with pytest.raises(OSError, match="in use"):
            greensock.GreenletTCPServer(server.server_address, Echo)
        assert before >= descriptors()


WRONG_PLACES = {
    "tcp": ["127.0.0.1:9000", ["127.0.0.1", 0], ("127.0.0.1", "0"), ("127.0.0.1",), (None, 0)],
    "unix": [("127.0.0.1", 0), None],
}


@pytest.mark.parametrize(
    ("transport", "place"), [(kind, place) for kind in WRONG_PLACES for place in WRONG_PLACES[kind]]
)
def test_what_is_no_address_is_told(transport, place):
    before = descriptors()
    with pytest.raises(TypeError, match=re.escape(f"{place!r} is no address: give ")):
        greensock.server_class("greenlet", transport)(place, Echo)
    assert before >= descriptors()


def test_a_wrong_port_is_told():
    with pytest.raises(OverflowError, match="99999.* has no port from 0 to 65535"):
        greensock.TCPServer(("127.0.0.1", 99999), Echo)


def test_a_port_alone_is_no_address():
    with pytest.raises(ValueError, match=r"or an address such as \('127.0.0.1', 9000\)"):
        greensock.TCPServer(65000, Echo)


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_what_cannot_be_bound_is_named(transport, tmp_path):
    path = tmp_path / "file"
    path.touch()
    kind = greensock.server_class("greenlet", transport)
    with greensock.TCPServer(LOCAL, Echo) as other:
        place = other.server_address if transport == "tcp" else str(path)
        with pytest.raises(OSError, match=re.escape(f"in use: {place!r}")) as raised:
            kind(place, Echo)
    assert (errno.EADDRINUSE, place) == (raised.value.errno, raised.value.filename)


def test_binding_and_listening_can_be_left_to_the_caller():
    with greensock.ThreadingTCPServer(LOCAL, Shout, bind_and_activate=False) as server:
        assert LOCAL == server.server_address
        server.server_bind()
        assert server.socket.getsockname() == server.server_address
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        server.server_activate()
        with served(server):
            assert b"HELLO\n" == ask(server)


def test_binding_tells_the_port_the_system_chose():
    with greensock.TCPServer(LOCAL, Echo) as server:
        host, port = server.server_address
        assert ("127.0.0.1", True) == (host, port > 0)
        assert server.socket.getsockname() == server.server_address


def test_leaving_a_with_block_closes_the_server_and_nothing_else(mailbox):
    class Server(greensock.GreenletTCPServer):
        def shutdown(self):
            mailbox.put("shutdown")

        def server_close(self):
            mailbox.put("server_close")
            super().server_close()

    with Server(LOCAL, Echo) as server:
        assert server.fileno() == server.socket.fileno()
    assert "server_close" == mailbox.get()
    assert mailbox.is_empty()
    assert -1 == server.fileno()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("call", ["serve_forever", "handle_request"])
def test_a_closed_server_says_that_it_is_closed(model, call):
    server = greensock.server_class(model)(LOCAL, Echo)
    server.server_close()
    with pytest.raises(ValueError, match="its socket is closed"):
        getattr(server, call)()


@pytest.mark.parametrize("model", MODELS)
def test_closing_twice_is_harmless(model):
    server = greensock.server_class(model)(LOCAL, Echo)
    server.server_close()
    server.server_close()
    assert -1 == server.fileno()


@pytest.mark.parametrize("model", MODELS)
def test_a_server_can_be_served_again(model):
    with greensock.server_class(model)(LOCAL, Shout) as server:
        for _ in range(3):
            call = Call("thread", server.serve_forever)
            assert b"HELLO\n" == ask(server)
            server.shutdown()
            call.end()


@somewhere
def test_a_closed_server_with_a_new_socket_can_be_served_again(model, where):
    with greensock.server_class(model)(LOCAL, Shout) as server:
        with served(server, where):
            assert b"HELLO\n" == ask(server)
        server.socket = socket.create_server(LOCAL)
        server.server_address = server.socket.getsockname()
        with served(server, where):
            assert b"HELLO\n" == ask(server)


@pytest.mark.parametrize("allowed", [False, True])
def test_reusing_the_address_is_an_option(allowed):
    class Server(greensock.TCPServer):
        allow_reuse_address = allowed

    with Server(LOCAL, Echo, bind_and_activate=False) as server:
        server.server_bind()  # later it is for those who release the listener and come back
        assert allowed == bool(server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))


@pytest.mark.parametrize("base", [greensock.TCPServer, greensock.UDPServer])
def test_two_servers_can_share_a_port(base):
    class Server(base):
        allow_reuse_port = True

    with Server(LOCAL, Echo) as first, Server(first.server_address, Echo) as second:
        assert first.server_address == second.server_address


def test_a_burst_of_clients_finds_room_in_the_queue():
    """More than socketserver's five connect before anybody accepts."""
    with greensock.TCPServer(LOCAL, Shout) as server:
        clients = [connect(server) for _ in range(100)]
        for client in clients:
            client.close()


@pytest.mark.parametrize("model", MODELS)
def test_every_transport_is_served(model, tmp_path):
    for transport, address in {"tcp": LOCAL, "unix": str(tmp_path / "s")}.items():
        with served(greensock.server_class(model, transport)(address, Shout)) as server:
            assert b"HELLO\n" == ask(server)
    for transport, address in {"udp": LOCAL, "unixgram": str(tmp_path / "d")}.items():
        with served(greensock.server_class(model, transport)(address, ShoutDatagram)) as server:
            assert b"HELLO\n" == ask(server)


def test_ending_a_datagram_leaves_the_socket_open():
    with greensock.UDPServer(LOCAL, Echo) as server:
        server.shutdown_request((b"", server.socket))
        server.close_request((b"", server.socket))
        assert server.fileno() >= 0


def test_ending_a_connection_that_is_gone_is_no_error():
    ours, theirs = socket.socketpair()
    theirs.close()
    with greensock.TCPServer(LOCAL, Echo) as server:
        ours.shutdown(socket.SHUT_RDWR)
        server.shutdown_request(ours)
    assert -1 == ours.fileno()


@pytest.mark.parametrize("model", MODELS)
def test_the_peer_sees_the_end_as_soon_as_the_handler_has_ended(model):
    with served(greensock.server_class(model)(LOCAL, Greet)) as server, connect(server) as client:
        assert b"hello\n" == rest(client)


@pytest.mark.parametrize("name", socketserver.__all__)
def test_every_name_of_socketserver_is_here(name):
    assert name in greensock.__all__
