"""A signal that comes while the hub waits is handled at once."""

import signal
import socket
from time import monotonic

import gevent
import pytest

import greensock
from greensock.net import native
from greensock.net.hubs import discard_hub
from greensock.net.waking import Condition


class Echo(greensock.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(100))


@pytest.fixture
def on_signal():
    """Install a handler of SIGUSR1."""
    former = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, former)


def held_lock():
    lock = native.allocate_lock()
    lock.acquire()
    return lock


def test_a_signal_that_another_thread_took_ends_the_wait(on_signal):
    """The kernel may give it to any thread, and then interrupts no wait of the main one."""
    waits, heard, ended = held_lock(), held_lock(), held_lock()
    in_time = []

    def about_to_wait():
        if waits.locked():
            waits.release()

    with greensock.TCPServer(("127.0.0.1", 0), Echo) as server:

        def send():
            waits.acquire()
            signal.pthread_kill(native.get_ident(), signal.SIGUSR1)
            in_time.append(heard.acquire(timeout=10))
            server.shutdown()
            ended.release()

        on_signal(lambda *_: heard.release())
        watcher = gevent.get_hub().loop.prepare()
        watcher.start(about_to_wait)
        native.start_new_thread(send, ())
        server.serve_forever()
        watcher.stop()
        watcher.close()
        ended.acquire()
    assert [True] == in_time


def test_whoever_listens_for_signals_already_goes_on():
    """The descriptor that asyncio or an application has set stays."""
    ours, theirs = socket.socketpair()
    with ours, theirs, greensock.TCPServer(("127.0.0.1", 0), Echo) as server:
        ours.setblocking(False)
        before = signal.set_wakeup_fd(ours.fileno())
        server.timeout = 0
        server.handle_request()
        assert ours.fileno() == signal.set_wakeup_fd(before)


@pytest.mark.parametrize("has_hub", [True, False])
def test_a_wait_notices_what_a_signal_handler_did_just_before(on_signal, has_hub):
    """It holds the condition's mutex as well, being the same thread."""
    changed, flag = Condition(), []

    def check():
        seen = bool(flag)
        if not seen:
            signal.raise_signal(signal.SIGUSR1)
        return seen

    @on_signal
    def _(number, frame):
        with changed:
            flag.append(True)
            changed.notify_all()

    if has_hub:
        gevent.get_hub()
    else:
        discard_hub()
    started = monotonic()
    with changed:
        assert changed.wait_for(check, 10)
    assert monotonic() - started < 5
