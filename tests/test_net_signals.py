"""A signal that comes while the hub waits is handled at once."""

import fcntl
import os
import signal
import socket
from functools import partial
from time import monotonic

import gevent
import pytest

import greensock
from greensock.net import native
from greensock.net.hubs import discard_hub
from greensock.net.signals import in_signal_handler
from greensock.net.waking import Condition
from tests.commands import python


class Echo(greensock.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(100))


@pytest.fixture
def on_signal():
    """Install a handler of SIGUSR1."""
    former = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, former)


@pytest.fixture
def discard_main_hub():
    yield discard_hub
    # libev would wait for any child from the second default loop on; see start_afresh_in_child.
    gevent.get_hub()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


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
        # What woke this greenlet last may have been a callback that comes just before the loop
        # waits; after a timer the loop goes all the way round, past the new watcher.
        gevent.sleep(0.001)
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
        signal.set_wakeup_fd(ours.fileno())
        server.timeout = 0
        server.handle_request()
        assert ours.fileno() == signal.set_wakeup_fd(-1)


def test_whoever_has_closed_what_they_listened_with_is_in_nobodys_way():
    ours, theirs = socket.socketpair()
    with ours, theirs, greensock.TCPServer(("127.0.0.1", 0), Echo) as server:
        ours.setblocking(False)
        descriptor = fcntl.fcntl(ours, fcntl.F_DUPFD, 500)  # which nothing else will be
        signal.set_wakeup_fd(descriptor)
        native.close(descriptor)
        server.timeout = 0
        server.handle_request()
        assert descriptor != signal.set_wakeup_fd(-1)


@pytest.mark.parametrize("has_hub", [True, False])
def test_a_wait_notices_what_a_signal_handler_did_just_before(
    on_signal, has_hub, discard_main_hub
):
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
        discard_main_hub()
    started = monotonic()
    with changed:
        assert changed.wait_for(check, 10)
    assert monotonic() - started < 5


def test_a_new_hub_of_the_main_thread_takes_the_place_of_the_old(discard_main_hub):
    """Each with descriptors of its own, and those of the old one are closed."""
    with greensock.TCPServer(("127.0.0.1", 0), Echo) as server:
        server.timeout = 0
        server.handle_request()
        opened = len(os.listdir("/dev/fd"))
        discard_main_hub()
        server.handle_request()
        assert opened == len(os.listdir("/dev/fd"))


FORKS = """
import os, select, signal, sys
import gevent, gevent.os, gevent.socket
import greensock
from greensock.net import signals

with greensock.TCPServer(("127.0.0.1", 0), print) as server:
    server.timeout = 0
    server.handle_request()
go, gone = os.pipe()
signal.signal(signal.SIGUSR1, lambda *_: None)
other = os.pipe()[1]
os.set_blocking(other, False)
if sys.argv[1] == "other":
    signal.set_wakeup_fd(other)
child = gevent.os.fork()
if not child:
    os.close(gone)
    gevent.socket.wait_read(go)
    expected = other if sys.argv[1] == "other" else -1
    os._exit(signal.set_wakeup_fd(-1) != expected)
signal.raise_signal(signal.SIGUSR1)
os.close(gone)
print(os.waitpid(child, 0)[1], bool(select.select([signals._ear.ours], [], [], 0)[0]))
"""


@pytest.mark.worldless
@pytest.mark.parametrize("owner, answer", [("greensock", "0 True"), ("other", "0 False")])
def test_a_forked_child_leaves_the_signals_of_its_parent_to_it(tmp_path, owner, answer):
    """It does not take what was written for its parent's hub, nor does it write there."""
    expected = 0, answer + "\n", ""
    assert expected == python("-c", FORKS, owner, cwd=tmp_path, measured=True)


class Asks:
    """Handlers of several shapes; each notes what it was told."""

    def __init__(self):
        self.told = []

    def method(self, number, frame):
        self.told.append(in_signal_handler())

    def deeper(self, number, frame):
        self.method(number, frame)

    __call__ = method


@pytest.mark.parametrize(
    "shape",
    [
        lambda asks: asks.method,
        lambda asks: asks.deeper,
        lambda asks: asks,
        lambda asks: lambda *args: asks.method(*args),
        lambda asks: partial(Asks.method, asks),
    ],
    ids=["method", "deeper", "object", "lambda", "partial"],
)
def test_a_signal_handler_is_known_as_one_in_whatever_greenlet_it_runs(on_signal, shape):
    asks = Asks()
    on_signal(shape(asks))
    gevent.spawn(os.kill, os.getpid(), signal.SIGUSR1).join()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert [True, True] == asks.told
    assert not in_signal_handler()


def test_a_signal_handler_that_is_no_function_of_python_is_none(on_signal):
    on_signal(signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert not in_signal_handler()
