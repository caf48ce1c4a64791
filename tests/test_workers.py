"""Greenlets that are used again keep nothing of their last request."""

import contextvars
import threading

import gevent
import gevent.local
import pytest
from greenlet import getcurrent

from greensock import BaseRequestHandler, GreenletTCPServer, StreamRequestHandler
from greensock.net import workers
from tests.helpers import LOCAL, Shout, Slow, ask, served, wait_until

everywhere = pytest.mark.parametrize("where", ["greenlet", "thread"])


class Server(GreenletTCPServer):
    reuse_greenlets = True


def idle_of(server):
    return server._gs_workers._idle


@everywhere
def test_a_greenlet_serves_one_request_after_another(where):
    greenlets = []

    class Note(Shout):
        def handle(self):
            greenlets.append(getcurrent())
            super().handle()

    with served(Server(LOCAL, Note), where) as server:
        for _ in range(5):
            assert b"HELLO\n" == ask(server)
            wait_until(lambda: idle_of(server))
    assert 5 == len(greenlets) and 1 == len(set(greenlets))
    assert greenlets[0].dead


@everywhere
def test_requests_at_the_same_time_have_greenlets_of_their_own(where):
    with served(Server(LOCAL, Shout), where) as server:
        asking = [gevent.spawn(ask, server) for _ in range(20)]
        assert 20 * [b"HELLO\n"] == [greenlet.get(timeout=30) for greenlet in asking]


def test_what_a_request_kept_ends_with_it():
    local, variable = gevent.local.local(), contextvars.ContextVar("variable", default="none")
    idents = set()

    class Keep(StreamRequestHandler):
        def handle(self):
            idents.add(threading.current_thread())
            found = f"{getattr(local, 'value', 'none')} {variable.get()}"
            local.value = "kept"
            variable.set("kept")
            getcurrent().mine = "kept"
            self.wfile.write(found.encode())

    with served(Server(LOCAL, Keep), "greenlet") as server:
        for _ in range(3):
            assert b"none none" == ask(server)
            wait_until(lambda: idle_of(server))
            assert not vars(idle_of(server)[0])


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, gevent.GreenletExit])
def test_a_request_that_fails_costs_no_other(error):
    class Fail(BaseRequestHandler):
        def handle(self):
            if self.request.recv(1) == b"x":
                raise error
            self.request.sendall(b"fine")

    with served(Server(LOCAL, Fail), "greenlet") as server:
        for _ in range(3):
            assert b"" == ask(server, b"x")
            assert b"fine" == ask(server, b"y")


def test_late_news_for_the_last_request_do_not_begin_another():
    class News(StreamRequestHandler):
        def handle(self):
            gevent.get_hub().loop.run_callback(getcurrent().switch, "late")
            self.wfile.write(b"fine")

    with served(Server(LOCAL, News), "greenlet") as server:
        for _ in range(3):
            assert b"fine" == ask(server)


def test_only_so_many_are_kept(monkeypatch):
    monkeypatch.setattr(workers, "MOST_IDLE", 3)
    with served(Server(LOCAL, Slow), "greenlet") as server:
        asking = [gevent.spawn(ask, server) for _ in range(20)]
        gevent.joinall(asking, timeout=30, raise_error=True)
        wait_until(lambda: not len(server._gs_crew))
        assert 3 == len(idle_of(server))


def test_one_that_is_cut_ends(caplog):
    ended = []

    class Stay(BaseRequestHandler):
        def handle(self):
            try:
                gevent.sleep(1000)
            finally:
                ended.append(getcurrent())

    server = Server(LOCAL, Stay)
    server.drain_timeout = 0
    with served(server, "greenlet"):
        asking = gevent.spawn(ask, server)
        wait_until(lambda: server._gs_crew and len(server._gs_crew))
    asking.get(timeout=30)
    wait_until(lambda: ended)
    assert "was cut" in caplog.text
