"""Greenlets that are used again keep nothing of their last request."""

import contextvars
import threading
import weakref

import gevent
import gevent.local
import pytest
from greenlet import getcurrent, settrace

from greensock import BaseRequestHandler, GreenletTCPServer, StreamRequestHandler
from greensock.net import workers
from tests.helpers import LOCAL, Shout, Slow, ask, count_workers, served, unmeasured, wait_until

everywhere = pytest.mark.parametrize("where", ["greenlet", "thread"])


@pytest.fixture
def born(monkeypatch):
    return count_workers(monkeypatch)


def idle_of(server):
    return server._gs_workers.idle


def ask_and_wait(server, message=b"hello\n"):
    """The answer; its greenlet waits for the next request by then."""
    answer = ask(server, message)
    wait_until(lambda: idle_of(server) and not len(server._gs_crew))
    return answer


@unmeasured
@everywhere
def test_a_greenlet_serves_one_request_after_another(where, born):
    with served(GreenletTCPServer(LOCAL, Shout), where) as server:
        for _ in range(5):
            assert b"HELLO\n" == ask_and_wait(server)
        pool = server._gs_workers
    assert 1 == len(born) and 0 == pool._count


def test_every_request_has_one_of_its_own_if_so_desired(born):
    greenlets = []

    class Note(Shout):
        def handle(self):
            greenlets.append(getcurrent())
            super().handle()

    server = GreenletTCPServer(LOCAL, Note)
    server.reuse_greenlets = False
    with served(server, "greenlet"):
        for _ in range(3):
            assert b"HELLO\n" == ask(server)
    assert 3 == len(set(greenlets)) and [] == born


class Kept:
    """What may refer to a greenlet: each method makes the reference to the current one."""

    def __init__(self):
        self.held = []

    def itself(self):
        self.held.append(getcurrent())

    def weakly(self):
        self.held.append(weakref.ref(getcurrent()))

    def as_key(self):
        self.held.append(weakref.WeakKeyDictionary({getcurrent(): 1}))

    def by_timeout(self):
        self.held.append(gevent.Timeout.start_new(1000))

    def by_child(self):
        self.held.append(gevent.spawn(gevent.sleep, 1000))


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("way", [Kept.itself, Kept.weakly, Kept.as_key, Kept.by_timeout,
                                 Kept.by_child])
def test_one_that_somebody_refers_to_is_not_used_again(way, waits, born):
    kept = Kept()

    class Keep(BaseRequestHandler):
        def handle(self):
            way(kept)
            if waits:
                gevent.sleep(0)
            self.request.sendall(b"fine")

    with served(GreenletTCPServer(LOCAL, Keep), "greenlet") as server:
        for _ in range(3):
            assert b"fine" == ask_and_wait(server, b"")
        assert 3 == len(born)
        for each in kept.held[:2]:
            assert getattr(each, "dead", True) or isinstance(each, gevent.Greenlet)
    for each in kept.held:
        if isinstance(each, gevent.Greenlet):
            each.kill()
        elif isinstance(each, gevent.Timeout):
            each.close()


@pytest.mark.parametrize("keep", [lambda each: each, weakref.ref], ids=["strongly", "weakly"])
def test_requests_are_served_beside_a_tool_that_refers_to_every_greenlet(keep, born):
    """As those do that measure: no greenlet is used again."""
    kept = set()

    def note(event, greenlets):
        kept.update(map(keep, greenlets))

    with served(GreenletTCPServer(LOCAL, Shout), "greenlet") as server:
        before = settrace(note)
        try:
            assert [b"HELLO\n"] * 3 == [ask_and_wait(server) for _ in range(3)]
        finally:
            settrace(before)
    assert 3 == len(born)


def test_a_timeout_left_running_ends_nobody_elses_request(caplog):
    class Leave(BaseRequestHandler):
        def handle(self):
            if self.request.recv(1) == b"x":
                gevent.Timeout.start_new(0.01)
            else:
                gevent.sleep(0.05)
            self.request.sendall(b"fine")

    with served(GreenletTCPServer(LOCAL, Leave), "greenlet") as server:
        assert [b"fine", b"fine"] == [ask(server, each) for each in (b"x", b"y")]


@everywhere
def test_requests_at_the_same_time_have_greenlets_of_their_own(where):
    with served(GreenletTCPServer(LOCAL, Shout), where) as server:
        asking = [gevent.spawn(ask, server) for _ in range(20)]
        assert 20 * [b"HELLO\n"] == [greenlet.get(timeout=30) for greenlet in asking]


@unmeasured
def test_what_a_request_kept_ends_with_it(born):
    local, variable = gevent.local.local(), contextvars.ContextVar("variable", default="none")

    class Keep(StreamRequestHandler):
        def handle(self):
            threading.current_thread()  # under monkey patching, it is kept until its end
            found = f"{getattr(local, 'value', 'none')} {variable.get()}"
            local.value = "kept"
            variable.set("kept")
            getcurrent().mine = "kept"
            self.wfile.write(found.encode())

    with served(GreenletTCPServer(LOCAL, Keep), "greenlet") as server:
        for _ in range(3):
            assert b"none none" == ask(server)
            wait_until(lambda: idle_of(server))
            assert not vars(idle_of(server)[0])
    assert 1 == len(born)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, gevent.GreenletExit])
def test_a_request_that_fails_costs_no_other(error):
    class Fail(BaseRequestHandler):
        def handle(self):
            if self.request.recv(1) == b"x":
                raise error
            self.request.sendall(b"fine")

    with served(GreenletTCPServer(LOCAL, Fail), "greenlet") as server:
        for _ in range(3):
            assert b"" == ask(server, b"x")
            assert b"fine" == ask(server, b"y")


def test_late_news_for_the_last_request_do_not_begin_another():
    class News(StreamRequestHandler):
        def handle(self):
            gevent.get_hub().loop.run_callback(getcurrent().switch, "late")
            self.wfile.write(b"fine")

    with served(GreenletTCPServer(LOCAL, News), "greenlet") as server:
        for _ in range(3):
            assert b"fine" == ask(server)


def test_only_so_many_are_kept(monkeypatch):
    monkeypatch.setattr(workers, "MOST_IDLE", 3)
    with served(GreenletTCPServer(LOCAL, Slow), "greenlet") as server:
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

    server = GreenletTCPServer(LOCAL, Stay)
    server.drain_timeout = 0
    with served(server, "greenlet"):
        asking = gevent.spawn(ask, server)
        wait_until(lambda: server._gs_crew and len(server._gs_crew))
    asking.get(timeout=30)
    wait_until(lambda: ended)
    assert "was cut" in caplog.text
