"""A coverage plugin, for what the C tracer alone does not see of greenlets and raw threads.

The tracer keeps a stack of frames for each greenlet, but finds the right stack only when a Python
function is called or returns. After a switch made in C, as all of gevent's are, the lines up to
the next call count for the greenlet that ran before, or for none. So each switch is followed by an
empty call, which makes the tracer look.

New threads are reached through ``threading.settrace``, which threads started below ``threading``
never read.
"""

import _thread
import os
import sys
import threading

import greenlet
from coverage import Coverage
from coverage.collector import Collector
from coverage.tracer import CTracer


def look_again(event, greenlets):
    tracer = sys.gettrace()
    if isinstance(tracer, CTracer):
        frame = sys._getframe()
        tracer(frame, "call", None)
        tracer(frame, "return", None)


def follow_greenlets():
    start = Collector._start_tracer

    def start_tracer(collector):
        greenlet.settrace(look_again)  # of this thread
        return start(collector)

    Collector._start_tracer = start_tracer


def follow_raw_threads():
    start = _thread.start_new_thread

    def start_new_thread(function, args, kwargs=None):
        def traced(*args, **kwargs):
            sys.settrace(threading.gettrace())
            return function(*args, **kwargs)

        return start(traced, args, kwargs or {})

    _thread.start_new_thread = start_new_thread


def forget_in_children():
    """Let a forked child save its own lines alone: those of its parent take ten times as long."""
    allocate_lock = _thread.allocate_lock

    def forget():
        running = Coverage.current()
        if running is not None and running._collector is not None:
            # Another thread may have held the lock, which then nobody would release.
            running._collector.data_lock = allocate_lock()
            for lines in running._collector.data.values():
                lines.clear()

    os.register_at_fork(after_in_child=forget)


def coverage_init(registry, options):
    """Called by coverage in each measured process, before it measures and before gevent patches."""
    follow_greenlets()
    follow_raw_threads()
    forget_in_children()
