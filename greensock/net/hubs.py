"""Hubs come and go cleanly: with the thread that needed one, and with a fork.

A thread that touched gevent owns a hub: two descriptors and 24 KiB that nobody else frees. A
forked child inherits its parent's hub with every greenlet, timer and watcher on it, and would
run them all the first time it waits for something.
"""

import _signal  # type: ignore[import-not-found]  # its enums cost more than the calls
import gc
import os
import signal
from contextlib import contextmanager, suppress
from typing import Any

from gevent import Greenlet, config
from gevent._hub_local import get_hub, get_hub_if_exists, get_loop, set_hub, set_loop
from gevent.hub import MAIN_THREAD_IDENT, GreenletExit, getcurrent, sleep

from . import native
from .grandchildren import make_hub
from .guards import make_guard
from .leaving import discarding, forget_thread, note_thread
from .signals import hear_signals
from .tenants import evict_from

_main_ident = MAIN_THREAD_IDENT

_loading = make_guard()


def _safe_repr(value):
    with _loading:
        from pprint import saferepr
    return saferepr(value)


if "value" not in vars(config.settings["format_context"]) and not os.environ.get(
    "GEVENT_FORMAT_CONTEXT"
):
    # It is what gevent would use, and every hub import: 1.5 MB, for what is hardly ever formatted.
    config.format_context = [_safe_repr]

# Read here, for its first reading imports what the user has named instead: under monkey patching
# two threads that made their hubs at once would wait for each other's import for ever.
_FORMAT_CONTEXT = config.format_context

# The forked child keeps its parent's hub referenced for ever: freeing it would run greenlets'
# finally clauses and watchers' destructors against a loop that is gone.
_parents_hubs: list[tuple] = []

# Signals a new program would find at their default action. A fault handler may own the
# synchronous ones, and resetting them would disarm it. Plain ints: the enum of the signal module
# costs a third of a millisecond for each child.
_SIGNALS = sorted(
    int(number)
    for number in signal.valid_signals()
    - {signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL}
    - {signal.SIGKILL, signal.SIGSTOP}
)


def _note_main_thread():
    global _main_ident
    _main_ident = native.get_ident()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_main_thread)


def in_main_thread() -> bool:
    """Whether the caller runs in the process's main OS thread."""
    return native.get_ident() == _main_ident


def is_bottom(greenlet: Any) -> bool:
    """Whether ``greenlet`` is its thread's main one, after which nobody turns the hub."""
    return greenlet.parent is None


def in_hub() -> bool:
    """Whether the caller is its thread's hub, as signal handlers may be, and cannot wait."""
    return getcurrent() is get_hub_if_exists()


def greenlets_left() -> list[Greenlet]:
    """Those that have not ended on this thread's hub; to be called at the bottom of the thread."""
    hub = get_hub_if_exists()
    if hub is None:
        return []
    with suppress(BaseException):  # such as a Timeout that nobody cancelled
        sleep(0)  # what has ended may be about to say so
    if hub.loop.activecnt == 0:  # as gevent has it always be with libuv
        return []
    # Something waits there, which may be no greenlet. Nobody else knows of them all.
    found = (each for each in gc.get_objects() if issubclass(type(each), Greenlet))
    return [each for each in found if each.parent is hub and not each.dead]


def discard_hub() -> None:
    """Free this thread's hub, if it has one, with everything on it."""
    if get_hub_if_exists() is None:
        forget_thread()
        return
    # A gevent lock that was freed here may count on this hub to wake who waits in another thread,
    # and after that on nobody else, ever.
    with suppress(BaseException):  # such as a Timeout that nobody cancelled
        sleep(0)
    with discarding():
        hub = get_hub_if_exists()
        if hub is not None:
            _destroy(hub)


def _destroy(hub):
    ends = []

    def handle_error(context, kind, error, frames):
        ends.append(error)
        raise error

    # What ends the hub refers to the hub's frames, and they to it: 9 KiB that would stay until the
    # garbage collector finds them, which takes it thousands of threads.
    hub.handle_error = handle_error
    evict_from(hub)
    hub.destroy(destroy_loop=True)
    if not hub.dead:
        hub.throw(GreenletExit)
    for error in ends:
        error.__traceback__ = None
    del hub.handle_error


def pass_ctrl_c_on(hub: Any) -> None:
    """Have the hub print no KeyboardInterrupt: it raises it in the main greenlet anyway."""
    if KeyboardInterrupt not in hub.NOT_ERROR:
        hub.NOT_ERROR += (KeyboardInterrupt,)


@contextmanager
def borrowed_hub():
    """This thread's hub; one that had to be made for a passing thread is freed again.

    The main thread keeps its hub, and so does a thread whose caller is a greenlet among others.
    """
    passing = get_hub_if_exists() is None and not in_main_thread() and is_bottom(getcurrent())
    hub = get_hub()
    pass_ctrl_c_on(hub)
    if in_main_thread():
        hear_signals(hub)
    note_thread(comes_back=True)
    try:
        yield hub
    finally:
        if passing:
            discard_hub()


def is_parents(hub: Any) -> bool:
    """Whether ``hub`` is one of the process that this one was forked from."""
    return any(each is hub for each, _ in _parents_hubs)


def start_afresh_in_child() -> None:
    """Give a forked child a hub of its own and the signal dispositions a new program has.

    To be called first thing in the child. As after exec(2), ignored signals stay ignored and
    others get their default action; SIGINT raises KeyboardInterrupt again. The calling greenlet
    must not return afterwards, because it would return into the parent's hub: end it with
    ``os._exit``.
    """
    hub = get_hub_if_exists()
    if hub is not None:
        _parents_hubs.append((hub, hub.loop))
        loop = hub.loop
        loop.reinit()
        set_hub(None)
        set_loop(None)
        loop.destroy()
        if native.get_ident() == MAIN_THREAD_IDENT:
            # Made now, because from a process's second default loop on libev waits for any child
            # whenever one ends, unless its signal handler is replaced, as those below are.
            set_loop(config.loop(default=True))
    for number in _SIGNALS:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    if get_loop() is not None:
        # gevent still believes that the parent's handler for ended children is in place.
        get_loop().reset_sigchld()
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    if native.is_patched():
        if native.get_ident() != MAIN_THREAD_IDENT:
            set_hub(make_hub())
            hear_signals(get_hub())  # which only a default loop does of itself
        pass_ctrl_c_on(get_hub())
