"""What a toolbox promises, tried out where its handlers would use it."""

import queue
import select
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

from zope.interface import providedBy

from ..interfaces import IEvent, ILock, IQueue, ITask, IToolbox
from .contracts import check_contracts
from .trial import ON_PURPOSE, PATIENCE, SUSPICION, Trial, same, unreported

_promises: list[tuple[str, Callable[[Any, float], None]]] = []

# Seconds: what is meant to expire does so after this.
MOMENT = 0.01


def check_toolbox(toolbox: Any, *, patience: float = PATIENCE) -> None:
    """Check that a toolbox keeps what IToolbox promises, and its products what theirs do.

    Call it where handlers run that would use it: in a handler, under the model in question.

    ``patience``: seconds until something that should happen at once is taken not to happen.

    AssertionError says which promise was broken.
    """
    trial = Trial(toolbox, patience)
    for text, keep in _promises:
        with trial.promise(text):
            keep(toolbox, patience)


def _promise(text: str) -> Callable[[Any], Any]:
    def note(keep: Any) -> Any:
        _promises.append((text, keep))
        return keep

    return note


def _raises(kind: type[BaseException], function: Callable[..., Any], *args: Any) -> None:
    try:
        outcome = function(*args)
    except kind:
        return
    raise AssertionError(f"no {kind.__name__} was raised, but {outcome!r} returned")


def _joined(task: Any, patience: float) -> None:
    same(True, task.join(patience), "what join() returns of a task that should have ended")


@_promise("it has what its contracts ask for, and so have its products")
def _contracts(toolbox: Any, patience: float) -> None:
    task = toolbox.spawn(int)
    products = {
        IToolbox: toolbox,
        ITask: task,
        ILock: toolbox.Lock(),
        IEvent: toolbox.Event(),
        IQueue: toolbox.Queue(),
    }
    for contract, product in products.items():
        if not contract.providedBy(product):
            raise AssertionError(
                f"{product!r} provides {list(providedBy(product))}, not {contract.__name__}"
            )
        check_contracts(product)
    _joined(task, patience)


@_promise("spawn() runs a function beside the caller, with its arguments")
def _spawning(toolbox: Any, patience: float) -> None:
    seen = []
    go = toolbox.Event()

    def work(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs, go.wait(patience)))

    task = toolbox.spawn(work, 1, two=2)
    same([], seen, "what it did before it was let go")
    same(False, task.join(MOMENT), "what join() returns of a task that waits")
    go.set()
    _joined(task, patience)
    same([((1,), {"two": 2}, True)], seen, "what it was called with")
    _joined(task, patience)


@_promise("what a task raises is not raised by join(), and ends nothing else")
def _failing(toolbox: Any, patience: float) -> None:
    def leave() -> None:
        raise SystemExit(ON_PURPOSE)

    with unreported():
        _joined(toolbox.spawn(leave), patience)
        toolbox.sleep(MOMENT)


@_promise("sleep() sleeps as long as it is told, and refuses what is negative")
def _sleeping(toolbox: Any, patience: float) -> None:
    begin = monotonic()
    toolbox.sleep(MOMENT)
    toolbox.sleep(0)
    if monotonic() - begin < 0.9 * MOMENT:
        raise AssertionError(f"{MOMENT} s were over after {monotonic() - begin} s")
    _raises(ValueError, toolbox.sleep, -MOMENT)


@_promise("a lock has one holder, not even the same one twice, until it is released")
def _locking(toolbox: Any, patience: float) -> None:
    lock = toolbox.Lock()
    same(False, lock.locked(), "locked() of a new lock")
    _raises(RuntimeError, lock.release)
    same(True, lock.acquire(), "acquire() of a free lock")
    same(True, lock.locked(), "locked() of a held one")
    same(False, lock.acquire(False), "acquire(False) of a held one")
    same(False, lock.acquire(True, 0), "acquire(timeout=0) of a held one")
    same(False, lock.acquire(timeout=MOMENT), "acquire(timeout) of a held one")
    _raises(ValueError, lock.acquire, False, 1)
    _raises(ValueError, lock.acquire, True, -2)
    taken = []
    task = toolbox.spawn(lambda: taken.append(lock.acquire(timeout=patience)))
    same(False, task.join(MOMENT), "what join() returns of a task that waits for it")
    lock.release()
    _joined(task, patience)
    same([True], taken, "acquire() of the one that waited")
    lock.release()
    with lock:
        same(True, lock.locked(), "locked() within 'with'")
    same(False, lock.locked(), "locked() after 'with'")


@_promise("an event wakes everyone who waits when it is set, even if it is cleared right after")
def _signalling(toolbox: Any, patience: float) -> None:
    event = toolbox.Event()
    same(False, event.is_set(), "is_set() of a new event")
    same(False, event.wait(0), "wait(0) before it is set")
    same(False, event.wait(MOMENT), "wait(timeout) before it is set")
    ready, woken = toolbox.Queue(), toolbox.Queue()

    def wait() -> None:
        ready.put(None)
        woken.put(event.wait(patience))

    tasks = [toolbox.spawn(wait) for _ in range(3)]
    for _ in tasks:
        ready.get(timeout=patience)
    toolbox.sleep(SUSPICION)  # nobody can tell that they have come from there to wait()
    event.set()
    event.clear()
    same([True] * 3, [woken.get(timeout=patience) for _ in tasks], "wait() of those who waited")
    same(False, event.is_set(), "is_set() after clear()")
    event.set()
    same(True, event.wait(), "wait() after it was set")


@_promise("a queue is first in, first out, and raises Empty and Full")
def _queueing(toolbox: Any, patience: float) -> None:
    unlimited = toolbox.Queue()
    for item in range(100):
        unlimited.put(item, timeout=patience)
    same(False, unlimited.full(), "full() of a queue without a limit")
    same(list(range(100)), [unlimited.get() for _ in range(100)], "the items")
    limited = toolbox.Queue(maxsize=2)
    same((True, False, 0), (limited.empty(), limited.full(), limited.qsize()), "a new queue")
    _raises(queue.Empty, limited.get_nowait)
    _raises(queue.Empty, limited.get, True, 0)
    _raises(queue.Empty, limited.get, True, MOMENT)
    limited.put_nowait("a")
    limited.put("b", block=False)
    same((False, True, 2), (limited.empty(), limited.full(), limited.qsize()), "a full queue")
    _raises(queue.Full, limited.put_nowait, "c")
    _raises(queue.Full, limited.put, "c", True, 0)
    _raises(queue.Full, limited.put, "c", True, MOMENT)
    same("a", limited.get(block=False), "the first item")
    for _ in range(2):  # with room and with an item, and with neither
        _raises(ValueError, limited.put, "c", True, -1)
        _raises(ValueError, limited.get, True, -1)
        limited = toolbox.Queue(maxsize=1)


@_promise("every item that is put into a queue is got once, however many tasks wait at it")
def _contending(toolbox: Any, patience: float) -> None:
    items, got = toolbox.Queue(maxsize=2), toolbox.Queue()

    def produce(first: int) -> None:
        for item in range(first, first + 50):
            items.put(item, timeout=patience)

    def consume() -> None:
        for item in iter(lambda: items.get(timeout=patience), None):
            got.put(item)

    consumers = [toolbox.spawn(consume) for _ in range(3)]
    for producer in [toolbox.spawn(produce, first) for first in (0, 50, 100)]:
        _joined(producer, patience)
    for _ in consumers:
        items.put(None, timeout=patience)
    for consumer in consumers:
        _joined(consumer, patience)
    same(list(range(150)), sorted(got.get_nowait() for _ in range(got.qsize())), "the items")


@_promise("a deadline ends every wait in its block with TimeoutError, and none after it")
def _expiring(toolbox: Any, patience: float) -> None:
    lock, event, empty, full = toolbox.Lock(), toolbox.Event(), toolbox.Queue(), toolbox.Queue(1)
    lock.acquire()
    full.put(None)
    task = toolbox.spawn(event.wait, patience)
    waits = {
        "sleep()": lambda: toolbox.sleep(patience),
        "Lock.acquire()": lambda: lock.acquire(timeout=patience),
        "Event.wait()": lambda: event.wait(patience),
        "Queue.get()": lambda: empty.get(timeout=patience),
        "Queue.put()": lambda: full.put(None, timeout=patience),
        "ITask.join()": lambda: task.join(patience),
    }
    with toolbox.deadline(MOMENT):
        for what, wait in waits.items():
            try:
                wait()
            except TimeoutError:
                continue
            raise AssertionError(f"{what} was not interrupted")
    same(False, event.wait(MOMENT), "what a wait returns after the block")
    same(False, task.join(MOMENT), "what join() returns of another task, which had no deadline")
    event.set()
    _joined(task, patience)


@_promise("deadlines nest, the nearest one counts, and None is no limit")
def _nesting(toolbox: Any, patience: float) -> None:
    event = toolbox.Event()
    with toolbox.deadline(None):
        same(False, event.wait(MOMENT), "what a wait returns that has no deadline")
    with toolbox.deadline(patience):
        same(False, event.wait(MOMENT), "what a wait returns before the deadline")
        with toolbox.deadline(0):
            _raises(TimeoutError, event.wait, patience)
        same(False, event.wait(MOMENT), "what a wait returns after the nearer deadline")
    for further in patience, None:
        with toolbox.deadline(MOMENT), toolbox.deadline(further):
            _raises(TimeoutError, event.wait, patience)


@_promise("connect() connects, and raises OSError where nobody listens")
def _connecting(toolbox: Any, patience: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(patience)
        address = listener.getsockname()
        with toolbox.connect(address, patience) as ours, listener.accept()[0] as theirs:
            same(None, ours.gettimeout(), "the timeout of the new socket")
            ours.sendall(b"question")
            same(b"question", theirs.recv(8), "what arrived")
            theirs.sendall(b"answer")
            same(b"answer", ours.recv(8), "what came back")
            with toolbox.deadline(MOMENT):
                _raises(TimeoutError, ours.recv, 1)
    _raises(OSError, toolbox.connect, address, patience)


@_promise("connect() tries no address that its caller does not allow")
def _forbidden(toolbox: Any, patience: float) -> None:
    asked = []

    def refuse(address: Any) -> bool:
        asked.append(address)
        return False

    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        _raises(PermissionError, toolbox.connect, address, patience, refuse)
        same([address], asked, "the addresses that were judged")
        same(0, len(select.select([listener], [], [], 0)[0]), "connections that were made")
        toolbox.connect(address, patience, lambda address: True).close()
