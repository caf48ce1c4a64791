"""The accept loop: it waits until there is something to take, or somebody has something to say.

Rule: nothing that happens here ends the loop but the owner's word, Ctrl-C, or a listener that is
gone.

Theory of operation. The greenlet that runs the loop waits on the hub of its thread until the
listener is readable or somebody rings: for shutdown, for a free slot, for a descriptor that came
free. Then it takes requests until there are no more. While it lives, a listener of connections
is in non-blocking mode, because another process may win the race for one; this is done to the
descriptor, and the socket object keeps the timeout its owner set.
"""

import os
from math import inf
from time import monotonic

from gevent.hub import getcurrent

from .intake import Intake
from .net import native
from .net.backoff import GONE
from .net.crossing import Event
from .net.datagrams import Drops
from .net.hubs import in_hub
from .net.listeners import accepts_connections, note_listening
from .net.newcomers import count_waiting
from .net.waking import Condition
from .net.watch import Watch

# Seconds another thread may take to let go of a listener that is about to be closed.
PATIENCE = 1.0

# Seconds that clients who were about to connect have to get into the queue of a server that drains.
SETTLING = 0.2


def is_closed(server):
    """The ValueError for a server that cannot be served any more."""
    return ValueError(
        f"{server!r} cannot wait for requests: its socket is closed; "
        "serve before server_close(), or give it a new socket"
    )


class Loop:
    """One run of a server's accept loop, made and run by one greenlet.

    ``wants_room``: whether it waits for a slot, or for descriptors or memory, to come free.
    ``is_stopping``: whether it takes no more.
    """

    def __init__(self, server, hub, *, serving):
        self.hub = hub
        self.serving = serving
        self.greenlet = getcurrent()
        self.wants_room = False
        self._ended = Event()
        self._orders = Condition()
        self._ordered = 0
        self._obeyed = 0
        self._server = server
        self.is_stopping = False
        self._is_draining = False
        self._is_taking = False
        self._interruption = None
        listener = getattr(server, "socket", None)
        datagrams = server._gs_takes_datagrams() and listener is not None
        self.drops = Drops(listener) if datagrams else None
        self._has_room = server._gs_has_room
        self._was_blocking = self._listens = False
        is_released = server._gs_suspended == "release" and server.fileno() < 0
        try:
            self._watch = Watch(hub, None if is_released else server.fileno())
            self._rests = is_released
        except OSError as error:
            if error.errno not in GONE:
                raise
            raise is_closed(server) from None
        try:
            self._intake = Intake(server, self._watch)
        except BaseException:
            self._watch.close()
            raise
        if not is_released:
            self._prepare_listener()

    def close(self):
        """Give everything back that it has taken."""
        if self._was_blocking and self._watch.fd >= 0:
            os.set_blocking(self._watch.fd, True)
        self._watch.close()
        self._intake.close()

    def announce_end(self):
        """Let those go on who wait for the end.

        Its thread may be a daemon, and the program exit as soon as they go on. So the thread's
        hub should be gone by now: the interpreter crashes if it stops a thread in a greenlet.
        """
        self._ended.set()
        self._note_obeyed(inf)

    def wait_for_end(self, timeout=None):
        """Wait until the end was announced, at most ``timeout`` seconds; whether it was."""
        return self._ended.wait(timeout)

    def suspend(self, *, wait):
        """Have it look whether it may take any; ``wait`` until it has looked."""
        with self._orders:
            self._ordered += 1
            number = self._ordered
        self.ring()
        if wait:
            with self._orders:
                self._orders.wait_for(lambda: self._obeyed >= number)

    def run(self, poll_interval):
        """Take requests until stopped; call ``service_actions`` on every turn."""
        self._check_listener()
        while not self.is_stopping:
            if self._is_draining:
                self._empty_queue()
                break
            readable = self._wait(poll_interval)
            if self.is_stopping:
                break  # type: ignore[unreachable]  # it was running for someone else to say so
            if readable:
                self._take(self._server._gs_requests_per_turn)
            self._server.service_actions()

    def run_once(self, timeout):
        """Take one request; False if ``timeout`` seconds (None for no limit) passed first."""
        ends = None if timeout is None else monotonic() + timeout
        self._check_listener()
        while not (self.is_stopping or self._is_draining):
            left = None if ends is None else max(0.0, ends - monotonic())
            if self._wait(left) and self._take(1):
                return True
            if ends is not None and monotonic() >= ends:
                return False
        return True

    def stop(self):
        """Make it end. Any thread, greenlet or signal handler may."""
        self.is_stopping = True
        self.ring()

    def drain(self):
        """Make it end once it has taken those who wait, and close the listener. Anyone may."""
        self._is_draining = True
        self.ring()

    def interrupt(self, error):
        """Make it end by raising ``error``."""
        self._interruption = error
        self.stop()

    def ring(self):
        """Have it look again what it may do."""
        self._watch.ring()

    def room_was_made(self):
        """Something it may be waiting for has come free: a slot, or a descriptor."""
        self._intake.resume_at = None
        self.ring()

    def let_go(self):
        """Stop, and see that the listener is closed when its owner closes it."""
        self.stop()
        if self.in_own_thread() or self._is_taking:
            self._watch.let_go()
        elif not in_hub():
            self._ended.wait(PATIENCE)

    def in_own_thread(self):
        """Whether the caller runs in the OS thread of the loop."""
        return self._watch.thread == native.get_ident()

    def _prepare_listener(self):
        listener = getattr(self._server, "socket", None)
        self._listens = accepts_connections(listener)
        if self._listens:
            note_listening(listener)
        if self._listens or self._server._gs_shares_socket_with_handlers():
            self._was_blocking = os.get_blocking(self._watch.fd)
            os.set_blocking(self._watch.fd, False)

    def _check_listener(self):
        # Whoever closed it before the server knew of this loop has not stopped it.
        if self._watch.of is not None and not self._intake.listener_is_open():
            self.stop()

    def _wait(self, timeout):
        """Whether there is something to take; False too after ``timeout`` seconds, and if rung."""
        ordered = self._ordered
        is_suspended = self._server._gs_suspended is not None
        if is_suspended:
            self._rest()
        elif self._rests:
            self._go_on()
        if self._obeyed < ordered:
            self._note_obeyed(ordered)
        if is_suspended:
            self._wait_for_bell(timeout)
            return False
        pause = self._intake.pause()
        self.wants_room = True  # before it looks for some, lest it miss that some is made
        if pause:
            self._wait_for_bell(pause if timeout is None else min(pause, timeout))
            return False
        has_room = self._has_room()
        if not has_room and self._turns_away():
            if self._watch_for(timeout):
                is_there = self._intake.turn_away("max_connections", self._turns_away)
                self.is_stopping = self.is_stopping or not is_there
            return False
        self.wants_room = not has_room
        readable = self._watch.wait(timeout, for_descriptor=has_room)
        self._raise_interruption()
        # A timeout that has passed at once may have hidden who was there already.
        return readable or (has_room and not self.is_stopping and self._watch.is_readable())

    def _watch_for(self, timeout):
        readable = self._watch.wait(timeout)
        self._raise_interruption()
        return readable

    def _wait_for_bell(self, timeout):
        self._watch.wait(timeout, for_descriptor=False)
        self._raise_interruption()

    def _raise_interruption(self):
        if self._interruption is not None:
            raise self._interruption

    def _turns_away(self):
        return self._listens and self._server.overload != "backlog" and self._is_full()

    def _is_full(self):
        return self._server._gs_is_full() and self._takes_on()

    def _takes_on(self):
        return not self.is_stopping and self._server._gs_suspended is None

    def _take(self, most):
        self._is_taking = True
        taken = self._intake.take(most, self)
        self._is_taking = False
        if taken is None:
            self.is_stopping = True
        self._server._gs_report_drops(self)
        return taken

    def _rest(self):
        """Suspended: take nothing."""
        self._rests = True
        if self._server._gs_suspended == "release" and self._watch.fd >= 0:
            self._watch.let_go()
            self._server._gs_release_if_asked()

    def _go_on(self):
        self._rests = False
        if self._watch.fd >= 0:
            return
        try:
            self._watch.look_at(self._server.fileno())
        except OSError:
            self.is_stopping = True  # it was closed, and not by its server
            return
        self._prepare_listener()
        if self.drops is not None:
            self.drops.go_on_with(self._server.socket)

    def _note_obeyed(self, number):
        with self._orders:
            self._obeyed = number
            self._orders.notify_all()

    def _empty_queue(self):
        """Take all who wait, and those who are about to; then close the listener."""
        server = self._server
        if server.fileno() < 0 or server._gs_leaves_queue:
            return
        calm_at, most = monotonic(), inf
        if server._gs_keep_newcomers_out():
            calm_at += SETTLING
        else:
            # Somebody new may come for ever. They are not those the queue held.
            waiting = count_waiting(server.socket) if self._listens else None
            most = server.request_queue_size if waiting is None else waiting
        while most > 0 and self._takes_on() and server._gs_drain_left() != 0.0:
            # There is room, or the next token, later.
            left = max(0.0, calm_at - monotonic())
            is_readable = self._watch.is_readable()
            if not is_readable and left == 0.0:
                break
            # Another process may be faster to take who waits.
            limits = SETTLING if is_readable else left, server._gs_drain_left()
            if self._wait(min(limit for limit in limits if limit is not None)):
                most -= self._take(min(most, server._gs_requests_per_turn)) or 0
        if not server._gs_takes_datagrams():  # whose handlers answer through it
            self._watch.let_go()
            server._gs_release_listener()
