"""A lock that another thread held when a process was forked is free in the child."""

import importlib
import os
import pkgutil
from contextlib import ExitStack

import greensock
from greensock.net import native
from greensock.net.children import Child
from greensock.net.guards import make_guard
from greensock.net.waking import Condition
from tests.helpers import Call, Mailbox, forks_beside_threads

pytestmark = forks_beside_threads

LOCKS = type(native.make_rlock()), type(native.allocate_lock()), Condition
PROGRAMS = "greensock.__main__"


def locks():
    """Those that modules of greensock have for good, by name."""
    names = [each.name for each in pkgutil.walk_packages(greensock.__path__, "greensock.")]
    return {
        f"{module.__name__}.{name}": value
        for module in [importlib.import_module(name) for name in names if name not in PROGRAMS]
        for name, value in vars(module).items()
        if isinstance(value, LOCKS)
    }


def fork(body):
    """The exit status of a child."""
    child = Child()
    child.fork(body)
    child.wait()
    return os.waitstatus_to_exitcode(child.reap())


def test_what_other_threads_hold_is_free_in_a_child(mailbox):
    with Mailbox() as gate:

        def hold():
            with ExitStack() as stack:
                for lock in locks().values():
                    stack.enter_context(lock)
                mailbox.put("held")
                gate.get()

        def look():
            mailbox.put([name for name, lock in locks().items() if not lock.acquire(False)])
            return 0

        call = Call("thread", hold)
        mailbox.get()
        assert 0 == fork(look)
        assert [] == mailbox.get()
        gate.put("go")
        call.end()
    assert "greensock.serving._starting" in locks()


def test_what_the_forking_thread_holds_it_holds_in_the_child():
    guard = make_guard()

    def look():
        guard.release()  # RuntimeError if it is not held
        return 0

    with guard:
        assert 0 == fork(look)
