"""The accept loop: from a readable listener to a request in its server's hands.

Rule: nothing that happens here ends the loop but the owner's word, Ctrl-C, or a listener that is
gone.

Theory of operation. The greenlet that runs the loop waits on the hub of its thread until the
listener is readable or somebody rings: for shutdown, for a free slot, for a descriptor that came
free. Then it takes requests until there are no more. While it lives, a listener of connections
is in non-blocking mode, because another process may win the race for one; this is done to the
descriptor, and the socket object keeps the timeout its owner set.
"""

import os
import socket
from time import monotonic

from gevent.hub import getcurrent

from . import events
from .net import native
from .net.accepting import turn_away
from .net.backoff import EXHAUSTED, GONE, Backoff
from .net.crossing import Event
from .net.datagrams import Drops
from .net.handover import raw
from .net.hubs import in_hub
from .net.listeners import accepts_connections, note_listening
from .net.watch import Watch

# Seconds another thread may take to let go of a listener that is about to be closed.
PATIENCE = 1.0

# Clients refused before other greenlets get their turn.
MOST_TURNED_AWAY = 1024


class Loop:
    """One run of a server's accept loop, made and run by one greenlet."""

    def __init__(self, server, hub, *, serving):
        self.hub = hub
        self.serving = serving
        self.greenlet = getcurrent()
        self._ended = Event()
        self._server = server
        self._listener = getattr(server, "socket", None)
        self._stopping = False
        self._is_taking = False
        self._interruption = None
        datagrams = getattr(server, "socket_type", None) == socket.SOCK_DGRAM
        self.drops = Drops(self._listener) if datagrams and self._listener is not None else None
        self._has_room = server._gs_has_room
        self._overridden = server._gs_is_overridden("get_request")
        self._backoff = Backoff()
        self._paused_since = None
        self._resume_at = None
        self._fd = server.fileno()
        self._was_blocking = False
        self._reserve = None
        try:
            self._watch = Watch(hub, self._fd)
        except OSError as error:
            if error.errno not in GONE:
                raise
            raise ValueError(
                f"{server!r} cannot wait for requests: its socket is closed; "
                "serve before server_close(), or give it a new socket"
            ) from None
        try:
            if server.overload == "close":
                self._reserve = os.open(os.devnull, os.O_RDONLY)
        except BaseException:
            self._watch.close()
            raise
        listening = accepts_connections(self._listener)
        if listening:
            note_listening(self._listener)
        if listening or server._gs_shares_socket_with_handlers():
            self._was_blocking = os.get_blocking(self._watch.fd)
            os.set_blocking(self._watch.fd, False)

    def close(self):
        """Give everything back that it has taken."""
        if self._was_blocking and self._watch.fd >= 0:
            os.set_blocking(self._watch.fd, True)
        self._watch.close()
        if self._reserve is not None:
            native.close(self._reserve)

    def announce_end(self):
        """Let those go on who wait for the end.

        Its thread may be a daemon, and the program exit as soon as they go on. So the thread's
        hub should be gone by now: the interpreter crashes if it stops a thread in a greenlet.
        """
        self._ended.set()

    def wait_for_end(self, timeout=None):
        """Wait until the end was announced, at most ``timeout`` seconds; whether it was."""
        return self._ended.wait(timeout)

    def run(self, poll_interval):
        """Take requests until stopped; call ``service_actions`` on every turn."""
        self._check_listener()
        while not self._stopping:
            readable = self._wait(poll_interval)
            if self._stopping:
                break  # type: ignore[unreachable]  # it was running for someone else to say so
            if readable:
                self._is_taking = True
                self._take(self._server._gs_requests_per_turn)
                self._is_taking = False
                self._server._gs_report_drops(self)
            self._server.service_actions()

    def run_once(self, timeout):
        """Take one request; False if ``timeout`` seconds (None for no limit) passed first."""
        ends = None if timeout is None else monotonic() + timeout
        self._check_listener()
        while not self._stopping:
            left = None if ends is None else max(0.0, ends - monotonic())
            if self._wait(left) and self._take(1):
                return True
            if ends is not None and monotonic() >= ends:
                return False
        return True

    def stop(self):
        """Make it end. Any thread, greenlet or signal handler may."""
        self._stopping = True
        self._watch.ring()

    def interrupt(self, error):
        """Make it end by raising ``error``."""
        self._interruption = error
        self.stop()

    def room_was_made(self):
        """Something it may be waiting for has come free: a slot, or a descriptor."""
        self._resume_at = None
        self._watch.ring()

    @property
    def starved(self):
        """Whether it is waiting for descriptors or memory to come free."""
        return self._resume_at is not None

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

    def _check_listener(self):
        # Whoever closed it before the server knew of this loop has not stopped it.
        if not self._listener_is_open():
            self.stop()

    def _wait(self, timeout):
        resume_at = self._resume_at  # workers of other threads may take it away meanwhile
        if resume_at is not None:
            pause = resume_at - monotonic()
            if pause > 0:
                limit = pause if timeout is None else min(pause, timeout)
                self._watch.wait(limit, for_descriptor=False)
                self._raise_interruption()
                return False
            self._resume_at = None
        has_room = self._has_room()
        readable = self._watch.wait(timeout, for_descriptor=has_room)
        self._raise_interruption()
        # A timeout that has passed at once may have hidden who was there already.
        return readable or (has_room and not self._stopping and self._watch.is_readable())

    def _raise_interruption(self):
        if self._interruption is not None:
            raise self._interruption

    def _take(self, most):
        # Somebody may replace it while the server runs.
        overridden = self._overridden or "get_request" in vars(self._server)
        get_request, dispatch = self._server._gs_intake(overridden)
        may_block = overridden or self._listener_may_block()
        taken = 0
        while taken < most and not self._stopping and self._has_room():
            if taken and may_block and not self._watch.is_readable():
                break
            try:
                request, client_address = get_request()
            except BlockingIOError:
                break  # another process was faster
            except Exception as error:
                self._get_request_failed(error)
                return taken
            taken += 1
            if self._backoff.is_under_way:
                self._backoff.success()
            dispatch(request, client_address)
        if self._paused_since is not None:
            events.emit(events.AcceptResumed, self._server, monotonic() - self._paused_since)
            self._paused_since = None
        return taken

    def _listener_may_block(self):
        # A socket with a timeout waits, even in non-blocking mode.
        sock = raw(self._listener)
        return sock is not None and bool(sock.gettimeout())

    def _get_request_failed(self, error):
        if getattr(error, "errno", None) in GONE and not self._listener_is_open():
            self._stopping = True
            return
        if not isinstance(error, OSError):
            events.emit(events.AcceptFailed, self._server, error)
        pause = self._backoff.pause_after(error)
        if not pause:
            return
        if self._paused_since is None:
            self._paused_since = monotonic()
            events.emit(events.AcceptPaused, self._server, error)
        if self._reserve is not None and getattr(error, "errno", None) in EXHAUSTED:
            self._turn_all_away()
        self._resume_at = monotonic() + pause

    def _turn_all_away(self):
        if self._reserve is not None:
            native.close(self._reserve)
        for _ in range(MOST_TURNED_AWAY):
            if not turn_away(self._listener):
                break
        try:
            self._reserve = os.open(os.devnull, os.O_RDONLY)
        except OSError:
            self._reserve = None  # somebody else was faster; from now on clients wait

    def _listener_is_open(self):
        try:
            return self._server.fileno() == self._fd
        except (OSError, ValueError, AttributeError):
            return False
