"""ThreadingMixIn: real OS threads in both worlds, seen as threading shows threads."""

import re
import socket
import socketserver
import threading

import gevent
import gevent.lock
import pytest
from gevent._hub_local import get_hub_if_exists

import greensock
from greensock.net import hubs, native
from greensock.net.threads import start_thread
from tests import world
from tests.helpers import (
    LOCAL,
    PATIENCE,
    Call,
    Shout,
    Trap,
    ask,
    connect,
    descriptors,
    rest,
    served,
    wait_until,
)
from tests.programs import run


class Server(greensock.ThreadingMixIn, greensock.TCPServer):
    pass


def gone(client):
    """What a trapped handler still says once its client lets it go."""
    client.shutdown(socket.SHUT_WR)
    return rest(client)


class Whoami(greensock.StreamRequestHandler):
    """Puts into the server's mailbox what ``tell()`` says in its thread."""

    def handle(self):
        self.server.mailbox.put(self.server.tell())


def told(mailbox, tell, base=Server, **attributes):
    """What ``tell()`` returns in a handler."""
    attributes.update(mailbox=mailbox, tell=staticmethod(tell))
    with served(type("Server", (base,), attributes)(LOCAL, Whoami), "greenlet") as server:
        ask(server)
        return mailbox.get()


def test_a_handler_runs_in_an_os_thread_of_its_own(mailbox):
    assert native.get_ident() != told(mailbox, native.get_ident)


def test_handlers_block_without_keeping_each_other_or_the_server_waiting():
    with served(Server(LOCAL, Trap), "greenlet") as server:
        with connect(server) as first, connect(server) as second:
            for client in first, second:
                assert b"trapped\n" == client.recv(100)
            assert 2 == len(server._threads)
            assert b"" == gone(second)


def test_a_thread_is_named_after_its_number_and_what_it_runs(mailbox):
    name = told(mailbox, lambda: threading.current_thread().name)
    assert re.fullmatch(r"Thread-\d+ \(process_request_thread\)", name), name


@pytest.mark.skipif(world.PATCHED, reason="only dummy threads can be seen from patched OS threads")
@pytest.mark.parametrize("daemon", [False, True])
def test_daemon_threads_decides_whether_threads_are_daemons(mailbox, daemon):
    tell = lambda: threading.current_thread().daemon  # noqa: E731
    assert daemon is told(mailbox, tell, daemon_threads=daemon)


def test_threads_are_listed_while_they_live():
    with served(Server(LOCAL, Trap), "greenlet") as server:
        assert [] == server._threads
        with connect(server) as client:
            client.recv(100)
            assert 1 == len(server._threads)
        wait_until(lambda: [] == server._threads)


def test_threads_that_have_ended_are_none_of_the_programs_any_more(mailbox):
    """Even if somebody refers to what has run there."""
    kept = []
    server = Server(LOCAL, Whoami)
    server.mailbox, server.tell = mailbox, lambda: kept.append(gevent.getcurrent())
    with served(server, "greenlet"):
        before = set(threading.enumerate())
        for _ in range(3):
            ask(server)
            mailbox.get()
        wait_until(lambda: before >= set(threading.enumerate()))


def test_what_a_handler_has_started_goes_on_when_it_has_returned(mailbox):
    """It is a greenlet of the handler's thread under monkey patching."""
    goes_on = threading.Event()

    def start():
        threading.Thread(target=lambda: goes_on.wait(PATIENCE) and mailbox.put("done")).start()
        with gevent.Timeout(PATIENCE, False):
            return "started"

    server = Server(LOCAL, Whoami)
    server.mailbox, server.tell = mailbox, start
    with served(server, "greenlet"):
        before = descriptors()
        ask(server)
        assert "started" == mailbox.get()
        wait_until(lambda: [] == server._threads)
        goes_on.set()
        assert "done" == mailbox.get()
        wait_until(lambda: before >= descriptors())


def test_where_nothing_goes_on_it_is_not_searched_for(monkeypatch):
    """Which takes as long as there are objects."""
    monkeypatch.setattr(hubs.gc, "get_objects", lambda: pytest.fail("searched"))

    def end():
        gevent.spawn(gevent.sleep, 0.001).join()
        left = hubs.greenlets_left()
        hubs.discard_hub()
        return left

    assert [] == Call("thread", end).end()


def test_a_thread_that_used_gevent_gives_the_descriptors_of_its_hub_back(mailbox):
    def use_gevent():
        gevent.spawn(gevent.sleep, 0.001).join()
        return get_hub_if_exists() is not None

    server = Server(LOCAL, Whoami)
    server.mailbox, server.tell = mailbox, use_gevent
    with served(server, "greenlet"):
        before = descriptors()
        for _ in range(20):
            ask(server)
            assert mailbox.get()
        wait_until(lambda: before >= descriptors())


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, gevent.GreenletExit])
def test_excepthook_sees_what_is_no_exception_and_the_server_goes_on(mailbox, monkeypatch, error):
    def crash(request, client_address, server):
        if request.recv(100) == b"crash\n":
            raise error("asked for")
        request.sendall(b"fine\n")

    hook = lambda args: mailbox.put((args.exc_type, args.thread.name))  # noqa: E731
    monkeypatch.setattr(threading, "excepthook", hook)
    with served(Server(LOCAL, crash), "greenlet") as server:
        assert b"" == ask(server, b"crash\n")
        kind, name = mailbox.get()
        assert error is kind
        assert "process_request_thread" in name
        assert b"fine\n" == ask(server)


class Announced:
    def process_request_thread(self, request, client_address):
        request.sendall(b"announced: ")
        super().process_request_thread(request, client_address)


@pytest.mark.parametrize(
    "bases",
    [
        (Announced, Server),
        (greensock.ThreadingMixIn, Announced, socketserver.ThreadingTCPServer),
    ],
    ids=["above the mixin", "of a base of the standard library"],
)
def test_an_overridden_process_request_thread_is_called(bases):
    server = type("Server", bases, {})(LOCAL, Shout)
    with served(server, "greenlet"):
        assert b"announced: HELLO\n" == ask(server)


def test_closing_waits_for_threads_unless_they_are_daemons():
    with served(Server(LOCAL, Trap), "greenlet") as server, connect(server) as client:
        client.recv(100)
        server.shutdown()
        close = Call("greenlet", server.server_close)
        gevent.sleep(0)
        assert not close.greenlet.ready()
        client.close()
        close.end()


def test_closing_does_not_wait_for_daemon_threads():
    daemons = type("Server", (Server,), {"daemon_threads": True})
    with served(daemons(LOCAL, Trap), "greenlet") as server, connect(server) as client:
        client.recv(100)
        server.shutdown()
        server.server_close()
        assert b"" == gone(client)
        wait_until(lambda: not server._threads)


# Its children have imported what they need already.
PROGRAM = """
from tests import world
import os
import sys
import greensock
from greensock.net import native

class Handler(greensock.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"here")
        self.wfile.flush()
        native.sleep(0.3)
        print("handled", flush=True)

for daemon in False, True:
    if (pid := native.fork()) == 0:
        break
    print(os.waitstatus_to_exitcode(native.waitpid(pid, 0)[1]), flush=True)
else:
    sys.exit()

class Server(greensock.ThreadingMixIn, greensock.TCPServer):
    daemon_threads = daemon
    block_on_close = False

server = Server(("127.0.0.1", 0), Handler)
client = native.Socket()
client.connect(server.server_address)
server.handle_request()
client.recv(4)
server.server_close()
print("main ended", flush=True)
"""


def test_the_interpreter_waits_at_its_exit_for_threads_that_are_not_daemons():
    status, out, errors = run(PROGRAM)
    assert (0, "") == (status, errors)
    assert ["main ended", "handled", "0", "main ended", "0"] == out.splitlines()


def test_a_lock_of_gevents_freed_last_thing_in_a_thread_wakes_who_waits_in_another(mailbox):
    """As those of the logging module are under monkey patching."""
    lock, may_end = gevent.lock.BoundedSemaphore(1), native.allocate_lock()
    may_end.acquire()

    def hold():
        gevent.get_hub()
        with lock:
            mailbox.put("held")
            may_end.acquire()

    def wait():
        gevent.get_hub()
        with lock:
            mailbox.put("taken over")

    start_thread(hold, shown_as=hold, daemon=True)
    assert "held" == mailbox.get()
    start_thread(wait, shown_as=wait, daemon=True)
    wait_until(lock.linkcount)
    may_end.release()
    assert "taken over" == mailbox.get()
