"""check_toolbox finds what is wrong with a toolbox."""

import contextlib

import gevent
import pytest

from greensock.net import crossing
from greensock.testing import check_toolbox
from greensock.toolbox import GreenToolbox
from tests.candidates import Faults, assert_finds

pytestmark = pytest.mark.worldless

faults = Faults()


class Task:
    """What ``spawn`` should not return."""

    def __init__(self, result):
        self.result = result

    def join(self, timeout=None):
        return self.result


def special_queue(maxsize, **members):
    return type("Queue", (crossing.Queue,), members)(maxsize)


@faults.breaking("it has what its contracts ask for, and so have its products\n.*ITask")
class Bare(GreenToolbox):
    def spawn(self, function, *args, **kwargs):
        return Task(True)


@faults.breaking(r"spawn\(\) runs a function beside the caller, with its arguments")
class Immediate(GreenToolbox):
    def spawn(self, function, *args, **kwargs):
        task = super().spawn(int)
        function(*args, **kwargs)
        return task


@faults.breaking(r"what a task raises is not raised by join\(\), and ends nothing else")
class Leaking(GreenToolbox):
    def spawn(self, function, *args, **kwargs):
        task = super().spawn(function, *args, **kwargs)
        task._run = lambda: function(*args, **kwargs)
        return task


@faults.breaking(r"sleep\(\) sleeps as long as it is told, and refuses what is negative")
class Restless(GreenToolbox):
    def sleep(self, seconds):
        super().sleep(0)


@faults.breaking(r"sleep\(\) .* refuses what is negative\n.*no ValueError was raised")
class Backwards(GreenToolbox):
    def sleep(self, seconds):
        super().sleep(abs(seconds))


@faults.breaking("a lock has one holder, not even the same one twice")
class Reentrant(GreenToolbox):
    def Lock(self):
        class Lock(crossing.Lock):
            def acquire(self, blocking=True, timeout=-1):
                super().acquire(False)
                return True

        return Lock()


@faults.breaking("an event wakes everyone who waits .* even if it is cleared right after")
class Sleepy(GreenToolbox):
    """Who waits does not notice an event that is cleared at once."""

    def Event(self):
        class Event(crossing.Event):
            def wait(self, timeout=None):
                with self._changed:
                    return self._changed.wait_for(self.is_set, timeout)

        return Event()


@faults.breaking("a queue is first in, first out, and raises Empty and Full")
class LastInFirstOut(GreenToolbox):
    def Queue(self, maxsize=0):
        return special_queue(maxsize, _get=lambda self: self.queue.pop())


@faults.breaking("a queue is first in, first out, and raises Empty and Full")
class Boundless(GreenToolbox):
    def Queue(self, maxsize=0):
        return special_queue(0)


@faults.breaking("every item that is put into a queue is got once")
class Doubling(GreenToolbox):
    def Queue(self, maxsize=0):
        got = []

        def _get(self):
            item = self.queue.popleft()
            got.append(item)
            if len(got) == 140 and isinstance(item, int):
                self.queue.appendleft(item)
            return item

        return special_queue(maxsize, _get=_get)


@faults.breaking(r"a deadline ends every wait .*\n.*sleep\(\) was not interrupted")
class Endless(GreenToolbox):
    def deadline(self, seconds):
        return contextlib.nullcontext()


@faults.breaking(r"a deadline ends every wait .*\n.*acquire\(\) was not interrupted")
class Single(GreenToolbox):
    def deadline(self, seconds):
        return gevent.Timeout(seconds, TimeoutError())


@faults.breaking("a deadline ends every wait .*, and none after it\n.*TimeoutError")
class Lasting(GreenToolbox):
    @contextlib.contextmanager
    def deadline(self, seconds):
        with super().deadline(seconds):
            yield
        gevent.Timeout(0, TimeoutError()).start()


@faults.breaking("deadlines nest, the nearest one counts, and None is no limit")
class Outermost(GreenToolbox):
    depth = 0

    @contextlib.contextmanager
    def deadline(self, seconds):
        self.depth += 1
        try:
            with super().deadline(seconds) if self.depth == 1 else contextlib.nullcontext():
                yield
        finally:
            self.depth -= 1


@faults.breaking(r"connect\(\) connects.*\n.*timeout of the new socket")
class Hasty(GreenToolbox):
    def connect(self, address, timeout=None, allow=None):
        connected = super().connect(address, timeout, allow)
        connected.settimeout(timeout)
        return connected


@faults.breaking(r"connect\(\) tries no address that its caller does not allow")
class Headlong(GreenToolbox):
    def connect(self, address, timeout=None, allow=None):
        connected = super().connect(address, timeout)
        if allow is not None and not allow(address):
            connected.close()
            raise PermissionError
        return connected


@pytest.mark.parametrize(("toolbox_class", "promise"), faults)
def test_toolbox_with_a_fault_is_found(toolbox_class, promise):
    assert_finds(f"broke a promise: {promise}", check_toolbox, toolbox_class())
