"""Servers at a path: what becomes of the path."""

import gc
import os
import socket

import pytest

import greensock
from greensock.net import native
from tests.helpers import (
    MODELS,
    Crash,
    Mailbox,
    Shout,
    ShoutDatagram,
    ask,
    connect,
    forks_beside_threads,
    served,
)

pytestmark = forks_beside_threads

KINDS = {
    "stream": (greensock.UnixStreamServer, socket.SOCK_STREAM, Shout),
    "datagram": (greensock.UnixDatagramServer, socket.SOCK_DGRAM, ShoutDatagram),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "socket"


def new_server(kind, path):
    server_class, _, handler = KINDS[kind]
    return server_class(path, handler)


def leave_stale_socket(path, kind):
    with socket.socket(socket.AF_UNIX, KINDS[kind][1]) as gone:
        gone.bind(str(path))


@pytest.mark.parametrize("form", [str, os.fsencode])
def test_the_path_goes_with_the_server(kind, path, form):
    with served(new_server(kind, form(path))) as server:
        assert str(path) == server.server_address
        assert path.is_socket()
        assert b"HELLO\n" == ask(server)
    assert not path.exists()


def test_a_relative_path_goes_with_the_server_wherever_the_process_is_by_then(
    kind, path, monkeypatch
):
    monkeypatch.chdir(path.parent)
    with new_server(kind, "socket"):
        assert path.is_socket()
        monkeypatch.chdir("/")
    assert not path.exists()


def test_a_path_that_nobody_answers_on_is_replaced(kind, path):
    leave_stale_socket(path, kind)
    with served(new_server(kind, str(path))) as server:
        assert b"HELLO\n" == ask(server)
    assert not path.exists()


def test_a_path_that_is_answered_on_is_in_use(kind, path):
    with served(new_server(kind, str(path))) as server:
        with pytest.raises(OSError, match="in use"):
            new_server(kind, str(path))
        assert b"HELLO\n" == ask(server)


def test_a_path_with_a_full_queue_is_in_use(path):
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as client:
        busy.bind(str(path))
        busy.listen(0)
        client.connect(str(path))
        with pytest.raises(OSError, match="in use"):
            new_server("stream", str(path))


def test_a_path_in_use_by_the_other_kind_is_in_use(kind, path):
    other = {"stream": "datagram", "datagram": "stream"}[kind]
    with new_server(other, str(path)):
        with pytest.raises(OSError, match="in use"):
            new_server(kind, str(path))
        assert path.is_socket()


def test_a_file_at_the_path_stays(kind, path):
    path.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        new_server(kind, str(path))
    assert "precious" == path.read_text()


def test_a_path_that_cannot_be_is_an_oserror(kind, tmp_path):
    with pytest.raises(FileNotFoundError):
        new_server(kind, str(tmp_path / "nowhere" / "socket"))


def test_a_path_that_somebody_else_took_over_stays(kind, path):
    with new_server(kind, str(path)) as old:
        path.unlink()
        with new_server(kind, str(path)) as new:
            old.server_close()
            assert path.is_socket()
            assert str(path) == new.server_address
    assert not path.exists()


def test_a_path_that_is_gone_is_no_error_at_close(kind, path):
    with new_server(kind, str(path)):
        path.unlink()


def test_a_child_that_closes_the_server_leaves_the_path(kind, path):
    """It is its parent's."""
    with new_server(kind, str(path)) as server:
        # By gevent's, the end of a quick child may come before anybody listens for it.
        pid = native.fork()
        if pid == 0:
            try:
                server.server_close()
            finally:
                os._exit(0)
        native.waitpid(pid, 0)
        assert path.is_socket()
    assert not path.exists()


@pytest.mark.parametrize("model", MODELS)
def test_handlers_leave_the_path_whatever_becomes_of_them(model, path):
    with Mailbox() as mailbox:

        class Ending(Crash):
            def finish(self):
                mailbox.put("finished")

        with served(greensock.server_class(model, "unix")(str(path), Ending)) as server:
            with connect(server):
                mailbox.get()
            assert path.is_socket()
    assert not path.exists()


def test_an_abstract_address_leaves_nothing_behind(kind):
    name = b"\0greensock-test-%d" % os.getpid()
    with served(new_server(kind, name)) as server:
        assert name == server.server_address
        assert b"HELLO\n" == ask(server)
    gc.collect()
    with new_server(kind, name):
        pass


def test_a_client_without_a_name_can_be_served(path):
    """Its address is empty, and nobody can answer."""
    with Mailbox() as mailbox:

        def handler(request, client_address, server):
            mailbox.put((request[0], client_address))

        with served(greensock.UnixDatagramServer(str(path), handler)):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.sendto(b"hello", str(path))
            assert (b"hello", None) == mailbox.get()
