"""Servers that take nobody for a while, and may give their address up meanwhile."""

import errno
import os
import signal
import socket
import socketserver

import gevent
import pytest

import greensock
from greensock.interfaces import IConnectionOpened, IRequestFailed
from greensock.net import native
from tests import tls
from tests.admission import new_server
from tests.helpers import (
    LOCAL,
    MODELS,
    PATIENCE,
    PLACES,
    Call,
    Echo,
    Shout,
    ShoutDatagram,
    ask,
    concurrent_models,
    connect,
    descriptors,
    every_model,
    everywhere,
    forks_beside_threads,
    recorded,
    rest,
    served,
    serving,
    wait_until,
)

pytestmark = forks_beside_threads


def call_in_signal_handler(function):
    returned = []

    def handler(number, frame):
        function()
        returned.append(True)

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_until(lambda: returned)
    finally:
        signal.signal(signal.SIGUSR1, previous)


def is_refused(server):
    try:
        connect(server).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it was in the queue of the listener when that was closed
    return False


@pytest.mark.parametrize(
    "model, where, asker",
    [
        *((model, where, "test") for model in MODELS for where in PLACES),
        *(("greenlet", where, asker) for where in PLACES for asker in ("thread", "greenlet")),
    ],
)
def test_suspended_it_takes_nobody_until_it_is_resumed(model, where, asker):
    def call(function):
        if asker == "test":
            function()
        else:
            Call(asker, function).end()

    server = new_server(model, Shout)
    with recorded(IConnectionOpened) as record, served(server, where):
        assert b"HELLO\n" == ask(server)
        for number in 1, 2:
            call(server.suspend)
            with connect(server) as client:
                client.sendall(b"hello\n")
                call(server.suspend)  # returns when the loop has looked again
                assert number == len(record)
                call(server.resume)
                assert b"HELLO\n" == rest(client)


@every_model
@everywhere
def test_released_it_refuses_and_opens_the_same_address_again(model, where):
    server = new_server(model, Shout)
    address = server.server_address
    with served(server, where):
        before = descriptors()
        for _ in range(2):
            assert b"HELLO\n" == ask(server)
            server.suspend(release=True)
            assert is_refused(server)
            server.suspend()  # does not take that back
            assert is_refused(server)
            server.resume()
            assert address == server.server_address
            assert b"HELLO\n" == ask(server)
        wait_until(lambda: before >= descriptors())


@every_model
@pytest.mark.parametrize("release", [False, True])
def test_it_may_be_suspended_before_it_serves(model, release):
    server = new_server(model, Shout)
    server.suspend(release)
    with served(server):
        assert release is is_refused(server)
        server.resume()
        assert b"HELLO\n" == ask(server)


@every_model
def test_one_that_was_released_and_resumed_before_it_serves_serves(model):
    server = new_server(model, Shout)
    server.suspend(release=True)
    server.resume()
    server.resume()
    with served(server):
        assert b"HELLO\n" == ask(server)


def test_resume_may_come_just_as_a_released_one_begins_to_serve():
    for _ in range(50):
        server = new_server("greenlet", Shout)
        server.suspend(release=True)
        with served(server):
            server.resume()
            assert b"HELLO\n" == ask(server)


@concurrent_models
@pytest.mark.parametrize("release", [False, True])
def test_connections_that_are_open_go_on(model, release):
    server = new_server(model, Echo)
    with served(server), connect(server) as client:
        client.sendall(b"before")
        assert b"before" == client.recv(100)
        server.suspend(release)
        client.sendall(b"meanwhile")
        assert b"meanwhile" == client.recv(100)
        server.resume()
        client.sendall(b"after")
        assert b"after" == client.recv(100)
        assert b"hello\n" == ask(server)
        client.shutdown(socket.SHUT_WR)


@concurrent_models
@pytest.mark.parametrize("reuse", [False, True])
def test_connections_of_the_past_do_not_keep_the_address_from_being_opened_again(model, reuse):
    """The system remembers for a minute those that the server has ended first."""

    def handler(request, client_address, server):
        pass

    server = new_server(model, handler, allow_reuse_address=reuse)
    with served(server), connect(server) as client:
        assert b"" == rest(client)
        server.suspend(release=True)
        assert is_refused(server)
        server.resume()
        assert b"" == ask_nothing(server)


def ask_nothing(server):
    with connect(server) as client:
        return rest(client)


@every_model
@pytest.mark.parametrize("base", [socketserver.TCPServer, socketserver.UnixStreamServer])
def test_servers_of_the_standard_library_can_be_released_too(model, base, tmp_path):
    mixins = {
        "inline": (),
        "greenlet": (greensock.GreenletMixIn,),
        "thread": (greensock.ThreadingMixIn,),
        "fork": (greensock.ForkingMixIn,),
    }
    if model == "inline":
        base = getattr(greensock, base.__name__)
    address = LOCAL if "TCP" in base.__name__ else str(tmp_path / "socket")
    server = type("Server", (*mixins[model], base), {})(address, Shout)
    with served(server):
        assert b"HELLO\n" == ask(server)
        server.suspend(release=True)
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            connect(server)
        server.resume()
        assert b"HELLO\n" == ask(server)


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
@everywhere
@pytest.mark.parametrize("release", [False, True])
def test_a_handler_may_suspend_and_goes_on_itself(model, where, release):
    class Last(Shout):
        def handle(self):
            self.server.suspend(release)
            super().handle()

    server = new_server(model, Last)
    with served(server, where):
        assert b"HELLO\n" == ask(server)
        if release:
            wait_until(lambda: is_refused(server))
        # Whoever was not refused was handled, and has suspended it once more.
        assert server.wait_for_connections("==", 0, PATIENCE)
        server.resume()
        assert b"HELLO\n" == ask(server)


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
def test_a_handler_may_change_its_mind(model):
    class Undecided(Shout):
        def handle(self):
            self.server.suspend(release=True)
            self.server.resume()
            super().handle()

    with served(new_server(model, Undecided)) as server:
        assert [b"HELLO\n"] * 3 == [ask(server) for _ in range(3)]


@every_model
@everywhere
def test_a_signal_handler_may_suspend_and_resume(model, where):
    server = new_server(model, Shout)
    with served(server, where):
        assert b"HELLO\n" == ask(server)
        call_in_signal_handler(lambda: server.suspend(release=True))
        wait_until(lambda: is_refused(server))
        call_in_signal_handler(server.resume)
        assert b"HELLO\n" == ask(server)


@every_model
def test_when_somebody_else_has_the_address_it_stays_suspended(model):
    server = new_server(model, Shout)
    with served(server):
        server.suspend(release=True)
        with native.Socket() as other:
            other.bind(server.server_address)
            other.listen()
            before = descriptors()
            for _ in range(2):
                with pytest.raises(OSError) as caught:
                    server.resume()
                assert errno.EADDRINUSE == caught.value.errno
            assert before >= descriptors()
        assert is_refused(server)
        server.resume()
        assert b"HELLO\n" == ask(server)


@every_model
def test_a_path_is_removed_and_made_again(model, tmp_path):
    path = tmp_path / "socket"
    server = new_server(model, Shout, "unix", str(path))
    with served(server):
        server.suspend(release=True)
        assert not path.exists()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            with pytest.raises(OSError) as caught:
                server.resume()
            assert errno.EADDRINUSE == caught.value.errno
            assert path.is_socket()
        server.resume()  # what is there now answers nobody
        assert b"HELLO\n" == ask(server)
    assert not path.exists()


@every_model
def test_a_listener_that_was_adopted_is_opened_again_by_the_server(model):
    listener = native.Socket()
    listener.bind(LOCAL)
    listener.listen()
    address = listener.getsockname()
    with served(new_server(model, Shout, address=listener.detach())) as server:
        assert b"HELLO\n" == ask(server)
        server.suspend(release=True)
        assert is_refused(server)
        server.resume()
        assert address == server.server_address
        assert b"HELLO\n" == ask(server)


@concurrent_models
def test_a_tls_listener_speaks_tls_again(model):
    server = new_server(model, Shout)
    server.socket = tls.shared_server_context().wrap_socket(server.socket, server_side=True)
    with served(server):
        for _ in range(2):
            with tls.connect(server) as client:
                client.sendall(b"hello\n")
                assert b"HELLO\n" == rest(client)
            server.suspend(release=True)
            server.resume()


@every_model
@pytest.mark.parametrize("release", [False, True])
def test_a_suspended_server_of_datagrams(model, release):
    server = new_server(model, ShoutDatagram, "udp")
    address = server.server_address
    with served(server):
        assert b"HELLO\n" == ask(server)
        wait_until(lambda: not server._gs_crew)  # a child has the socket, too
        server.suspend(release)
        with connect(server) as client:
            client.send(b"hello\n")
            if release:
                with pytest.raises(ConnectionRefusedError):
                    client.recv(100)
            else:
                server.suspend()
                client.setblocking(False)
                with pytest.raises(BlockingIOError):
                    client.recv(100)
                client.settimeout(PATIENCE)
                server.resume()
                assert b"HELLO\n" == client.recv(100)
        server.resume()
        assert address == server.server_address
        assert b"HELLO\n" == ask(server)


def test_handlers_of_datagrams_do_not_answer_through_what_has_their_descriptor_now(mailbox):
    class Late(greensock.DatagramRequestHandler):
        def handle(self):
            mailbox.put("came")
            self.server.released.wait()
            self.wfile.write(b"late")

    server = new_server("greenlet", Late, "udp")
    server.released = gevent.event.Event()
    with recorded(IRequestFailed) as record, served(server, "greenlet"), connect(server) as client:
        client.send(b"hello")
        mailbox.get()
        number = server.fileno()
        server.suspend(release=True)
        heir, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with heir, other:
            assert number in (heir.fileno(), other.fileno())
            server.released.set()
            wait_until(lambda: record)
        assert errno.EBADF == record[0].error.errno


def test_suspending_and_resuming_at_once_keeps_nobody_waiting():
    with served(new_server("greenlet", Shout)) as server:

        def suspend():
            for number in range(100):
                server.suspend(release=number % 2)

        def resume():
            for _ in range(100):
                server.resume()

        for call in [Call("thread", function) for function in (suspend, resume) * 3]:
            call.end()
        server.resume()
        assert b"HELLO\n" == ask(server)


@every_model
@pytest.mark.parametrize("release", [False, True])
def test_a_suspended_server_can_be_closed_and_stays_so(model, release):
    before = descriptors()
    with served(new_server(model, Shout)) as server:
        server.suspend(release)
    server.resume()
    assert -1 == server.fileno()
    wait_until(lambda: before >= descriptors())


@every_model
def test_suspend_after_the_end_of_serving_holds_for_the_next_time(model):
    with new_server(model, Shout) as server:
        with serving(server) as call:
            server.shutdown()
            call.end()
        server.suspend()
        with serving(server) as call, connect(server) as client:
            client.sendall(b"hello\n")
            server.resume()
            assert b"HELLO\n" == rest(client)
            server.shutdown()
            call.end()


def test_handle_request_takes_nobody_while_it_is_suspended(mailbox):
    with new_server("inline", Shout, timeout=0.05) as server, connect(server) as client:
        server.handle_timeout = lambda: mailbox.put("timeout")
        client.sendall(b"hello\n")
        server.suspend()
        server.handle_request()
        assert ["timeout"] == mailbox.take(1)
        server.resume()
        server.handle_request()
        assert b"HELLO\n" == rest(client)


def test_what_has_no_socket_cannot_be_released():
    server = greensock.BaseServer("nowhere", Shout)
    with pytest.raises(TypeError, match="has no socket to release"):
        server.suspend(release=True)
    server.suspend()
    server.resume()
