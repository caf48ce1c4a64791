"""Locks, events and queues between OS threads, with and without hubs, and greenlets.

A *kind* is where somebody runs who uses them: an OS thread without a hub, a greenlet of an OS
thread with a hub, or a greenlet of the thread the tests run in. Two of a kind with a hub share it.
"""

import os
import queue
import signal
from itertools import count, product

import gevent
import pytest
from gevent._hub_local import get_hub_if_exists

from greensock.net import native
from greensock.net.crossing import Event, Lock, Queue
from greensock.net.hubs import discard_hub
from greensock.net.waking import Condition
from tests.helpers import PATIENCE, Call
from tests.programs import run

KINDS = "thread", "hub", "greenlet"
PAIRS = list(product(KINDS, KINDS))
SHORT = 0.01


def in_hub(function):
    """Run the function in a greenlet of a hub that this thread has just for it."""
    try:
        return gevent.spawn(function).get()
    finally:
        discard_hub()


def start(kind, function, times=1):
    """Calls of the function under way, as many as asked for."""
    if kind == "hub":  # one thread for all

        def all_of_them():
            return [one.get() for one in [gevent.spawn(function) for _ in range(times)]]

        return [Call("thread", in_hub, all_of_them)]
    return [Call(kind, function) for _ in range(times)]


def end(calls):
    """What they returned, one after another."""
    results = []
    for call in calls:
        result = call.end()
        results += result if isinstance(result, list) else [result]
    return results


def let_others_run():
    if get_hub_if_exists() is None:
        native.sleep(0)
    else:
        gevent.sleep(0)


@pytest.mark.parametrize(("producers", "consumers"), PAIRS)
def test_queue_loses_and_doubles_nothing(producers, consumers):
    """Between any two kinds, at a bounded queue where everybody has to wait."""
    items, got = Queue(maxsize=2), Queue()
    numbers = count()

    def produce():
        for _ in range(150):
            items.put(next(numbers), timeout=PATIENCE)

    def consume():
        for item in iter(lambda: items.get(timeout=PATIENCE), None):
            got.put(item)

    consuming = start(consumers, consume, times=2)
    end(start(producers, produce, times=2))
    for _ in range(2):
        items.put(None, timeout=PATIENCE)
    end(consuming)
    assert list(range(300)) == sorted(got.get_nowait() for _ in range(300))
    assert got.empty()


def test_queue_serves_all_kinds_at_once():
    """Thousands of items through one small queue, with waits that time out in between."""
    items, got = Queue(maxsize=3), Queue()
    each = 1000

    def produce():
        for number in range(each):
            while True:
                try:
                    items.put(number, timeout=0.002)
                    break
                except queue.Full:
                    pass

    def consume():
        while True:
            try:
                item = items.get(timeout=0.002)
            except queue.Empty:
                continue
            if item is None:
                return
            got.put(item)

    consuming = [call for kind in KINDS for call in start(kind, consume, times=2)]
    end([call for kind in KINDS for call in start(kind, produce, times=2)])
    for _ in range(6):
        items.put(None, timeout=PATIENCE)
    end(consuming)
    assert sorted(6 * list(range(each))) == sorted(got.get_nowait() for _ in range(6 * each))
    assert got.empty()


def test_queue_joins_when_all_its_tasks_are_done():
    items = Queue()
    items.put("task")
    joining = start("thread", items.join) + start("hub", items.join) + start("greenlet", items.join)
    assert "task" == items.get()
    items.task_done()
    end(joining)


@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_lock_has_one_holder(kinds):
    """Who holds it is alone even while it lets others run."""
    lock = Lock()
    holders, most = [], []

    def hold():
        for _ in range(50):
            with lock:
                holders.append(None)
                most.append(len(holders))
                let_others_run()
                holders.pop()

    end([call for kind in kinds for call in start(kind, hold, times=2)])
    assert {1} == set(most)
    assert 200 == len(most)
    assert not lock.locked()


def test_lock_may_be_released_by_another_thread():
    lock = Lock()
    assert lock.acquire()
    waiting = Call("thread", lock.acquire, True, PATIENCE)
    Call("thread", lock.release).end()
    assert waiting.end()
    assert lock.locked()


@pytest.mark.parametrize("kind", KINDS)
def test_lock_is_not_lost_between_waits_that_time_out(kind):
    """A waiter whose time runs out just as it is woken takes the lock, or leaves it to others."""
    lock = Lock()
    lock.acquire()

    def nibble():
        while not lock.acquire(timeout=0.001):
            pass
        lock.release()

    nibbling = start(kind, nibble, times=5)
    for _ in range(20):
        gevent.sleep(0.001)  # around the moment when they give up
        lock.release()
        assert lock.acquire(timeout=PATIENCE)
    lock.release()
    end(nibbling)
    assert not lock.locked()


@pytest.mark.parametrize("setter", KINDS)
def test_event_wakes_all_who_wait(setter):
    event, ready = Event(), Queue()

    def wait():
        ready.put(None)
        return event.wait(PATIENCE)

    waiting = [call for kind in KINDS for call in start(kind, wait, times=3)]
    for _ in range(3 * len(KINDS)):
        ready.get(timeout=PATIENCE)
    end(start(setter, event.set))
    assert 9 * [True] == end(waiting)


def test_event_cleared_at_once_wakes_those_who_waited():
    event = Event()
    waiting = waiters(lambda: event.wait(PATIENCE))
    event.set()
    event.clear()
    assert 2 * [True] == [waiter.get(timeout=PATIENCE) for waiter in waiting]


def test_event_that_was_cleared_makes_wait():
    event = Event()
    event.set()
    assert event.wait(0)
    event.clear()
    assert not event.wait(0)
    assert not event.is_set()


@pytest.mark.parametrize("kind", KINDS)
def test_waits_end_when_their_time_is_up(kind):
    event, lock, full = Event(), Lock(), Queue(maxsize=1)
    lock.acquire()
    full.put(None)

    def wait():
        assert not event.wait(SHORT)
        assert not lock.acquire(timeout=SHORT)
        with pytest.raises(queue.Full):
            full.put(None, timeout=SHORT)
        with pytest.raises(queue.Empty):
            Queue().get(timeout=SHORT)

    end(start(kind, wait))


def waiters(function, times=2):
    """Greenlets that wait in the function, the first one longest."""
    greenlets = [gevent.spawn(function) for _ in range(times)]
    gevent.idle()
    return greenlets


def test_interrupted_waiter_passes_a_lock_on():
    """It had been chosen to get the lock, and was killed before it could take it."""
    lock = Lock()
    lock.acquire()
    first, second = waiters(lambda: lock.acquire(timeout=PATIENCE))
    lock.release()
    first.kill(block=False)
    assert second.get(timeout=PATIENCE)
    assert isinstance(first.value, gevent.GreenletExit)


def test_interrupted_waiter_passes_an_item_on():
    items = Queue()
    first, second = waiters(lambda: items.get(timeout=PATIENCE))
    items.put("item")
    first.kill(block=False)
    assert "item" == second.get(timeout=PATIENCE)


def test_interrupted_waiter_passes_room_on():
    items = Queue(maxsize=1)
    items.put("first")
    first, second = waiters(lambda: items.put("second", timeout=PATIENCE))
    assert "first" == items.get()
    first.kill(block=False)
    second.get(timeout=PATIENCE)
    assert "second" == items.get_nowait()
    assert items.empty()


def test_waiter_interrupted_before_its_turn_is_forgotten():
    """Nobody is woken in its place, and nothing is lost."""
    lock = Lock()
    lock.acquire()
    first, second = waiters(lambda: lock.acquire(timeout=PATIENCE))
    first.kill()
    lock.release()
    assert second.get(timeout=PATIENCE)


def test_waiters_are_woken_in_their_order():
    woken, condition = [], Condition()

    def wait(number):
        with condition:
            assert condition.wait(PATIENCE)
        woken.append(number)

    waiting = [gevent.spawn(wait, number) for number in range(5)]
    gevent.idle()
    for _ in waiting:
        with condition:
            condition.notify()
        gevent.idle()
    gevent.joinall(waiting, raise_error=True)
    assert list(range(5)) == woken


def test_condition_is_re_entrant_and_gives_up_every_level():
    condition = Condition()

    def notify():
        with condition:
            condition.notify()

    with condition, condition:
        assert not condition.wait(0)
        assert not Call("thread", condition.acquire, False).end()
        notifying = Call("thread", notify)
        assert condition.wait(PATIENCE)
        notifying.end()
        assert not Call("thread", condition.acquire, False).end()
    assert Call("thread", condition.acquire, False).end()


def test_signal_handler_may_set_an_event_the_main_thread_waits_for():
    event = Event()
    former = signal.signal(signal.SIGUSR1, lambda *_: event.set())
    try:
        for _ in range(20):
            event.clear()
            killing = Call("thread", os.kill, os.getpid(), signal.SIGUSR1)
            assert event.wait(PATIENCE)
            killing.end()
    finally:
        signal.signal(signal.SIGUSR1, former)


def test_signal_handler_may_set_an_event_it_has_interrupted():
    """The main thread was at the event itself and holds its mutex."""
    event = Event()
    former = signal.signal(signal.SIGUSR1, lambda *_: event.set())
    try:
        with event._changed:
            signal.raise_signal(signal.SIGUSR1)
            assert event.is_set()
    finally:
        signal.signal(signal.SIGUSR1, former)


@pytest.mark.worldless
@pytest.mark.parametrize("with_hub", [False, True])
def test_signal_that_does_not_wake_the_main_thread_is_heard_all_the_same(with_hub):
    """Here another thread gets it; one that comes just before the wait is missed as well."""
    script = """
import os, signal, sys
import gevent
from greensock.net import native
from greensock.net.crossing import Event
if sys.argv[1] == "True":
    gevent.get_hub()
event = Event()
signal.signal(signal.SIGUSR1, lambda *_: event.set())
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

def get():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    while not event._changed._sleeping:
        native.sleep(0)
    os.kill(os.getpid(), signal.SIGUSR1)

native.start_new_thread(get, ())
print(event.wait())
"""
    assert (0, "True\n", "") == run(script, str(with_hub))


def test_signal_handler_may_set_an_event_of_a_main_thread_without_a_hub():
    """In a process of its own: the hub of this one never goes away."""
    script = """
from tests import world
import os, signal
from gevent._hub_local import get_hub_if_exists
from greensock.net import native
from greensock.net.crossing import Event
event = Event()
signal.signal(signal.SIGUSR1, lambda *_: event.set())
for _ in range(20):
    event.clear()
    native.start_new_thread(os.kill, (os.getpid(), signal.SIGUSR1))
    assert event.wait(30)
print(get_hub_if_exists())
"""
    assert (0, "None\n", "") == run(script)


def test_wait_does_not_make_a_hub():
    """A thread that needs none is not given one, which somebody would have to free."""
    def wait():
        Event().wait(0.001)
        with Lock():
            Queue().put(None)
        return get_hub_if_exists()

    assert Call("thread", wait).end() is None


def test_wait_leaves_the_other_greenlets_of_its_thread_running():
    event = Event()
    gevent.spawn(event.set)
    assert event.wait(PATIENCE)
