"""From a readable listener to a request in its server's hands, whatever accept says.

Each way an accept may end has a branch here: a request; nothing there after all; a client that is
gone already; no descriptor or memory left; the listener closed; anything else, which is told once
and tried again.
"""

import os
from time import monotonic

from gevent import Timeout

from . import events
from .net import native
from .net.accepting import turn_away
from .net.admission import Bucket
from .net.backoff import EXHAUSTED, GONE, Backoff
from .net.handover import raw

# Clients turned away before other greenlets get their turn.
MOST_TURNED_AWAY = 1024


class Intake:
    """Takes requests for one loop, and knows when not to.

    ``resume_at``: when accepting may be tried again (monotonic seconds), None if it may be now.
    """

    def __init__(self, server, watch):
        self.resume_at = None
        self._server = server
        self._watch = watch
        self._backoff = Backoff()
        self._paused_since = None
        if server._gs_bucket is None:
            server._gs_bucket = Bucket()
        self._bucket = server._gs_bucket
        self._overridden = server._gs_is_overridden("get_request")
        self._reserve = None
        self._keep_reserve()

    def close(self):
        """Give back what was held in reserve."""
        if self._reserve is not None:
            native.close(self._reserve)
            self._reserve = None

    def pause(self):
        """Seconds until one may be taken, for all that is known here; 0.0 if now."""
        self._keep_reserve()
        resume_at = self.resume_at  # workers of other threads may take it away meanwhile
        if resume_at is not None:
            left = resume_at - monotonic()
            if left > 0:
                return left
            self.resume_at = None
        return self._wait_for_token()

    def take(self, most, loop):
        """Take at most ``most`` requests while ``loop`` takes on; how many.

        None if the listener is gone.
        """
        server = self._server
        # Somebody may replace it while the server runs.
        overridden = self._overridden or "get_request" in vars(server)
        try:
            get_request, dispatch = server._gs_intake(overridden)
        except OSError as error:
            return None if self._failed(error) else 0
        may_block = overridden or self._listener_may_block()
        taken = 0
        while (
            taken < most
            and not loop.is_stopping
            and server._gs_suspended is None
            and server._gs_has_room()
        ):
            is_limited = server.accept_rate is not None
            if is_limited and self._wait_for_token():
                break
            if taken and may_block and not self._watch.is_readable():
                break
            try:
                request, client_address = get_request()
            except BlockingIOError:
                break  # another process was faster
            except (Exception, Timeout) as error:
                return None if self._failed(error) else taken
            taken += 1
            if is_limited:
                self._bucket.take()
            if self._backoff.failures:
                self._backoff.success()
            dispatch(request, client_address)
        if self._paused_since is not None:
            events.emit(events.AcceptResumed, server, monotonic() - self._paused_since)
            self._paused_since = None
        return taken

    def turn_away(self, reason, goes_on):
        """Close those who wait, while ``goes_on()``, with a word if the server has one.

        False if the listener is gone.
        """
        try:
            self._turn_away(reason, goes_on)
        except BlockingIOError:
            pass  # that was the last
        except OSError as error:
            return not self._failed(error)
        return True

    def _turn_away(self, reason, goes_on):
        server = self._server
        may_block = self._listener_may_block()
        for _ in range(MOST_TURNED_AWAY):
            if not goes_on() or may_block and not self._watch.is_readable():
                return
            client_address = turn_away(server.socket, server._gs_refusal())
            events.emit(events.ConnectionRefused, server, client_address, reason)

    def _wait_for_token(self):
        rate = self._server.accept_rate  # which another thread may take away meanwhile
        if rate is None:
            return 0.0
        return self._bucket.wait(rate, self._server.accept_burst, monotonic())

    def _listener_may_block(self):
        # A socket with a timeout waits, even in non-blocking mode.
        sock = raw(getattr(self._server, "socket", None))
        return sock is not None and bool(sock.gettimeout())

    def _failed(self, error):
        """Deal with what get_request raised; whether the listener is gone."""
        server = self._server
        if getattr(error, "errno", None) in GONE and not self.listener_is_open():
            return True
        if not isinstance(error, OSError):
            events.emit(events.AcceptFailed, server, error)
        pause = self._backoff.pause_after(error)
        if not pause:
            return False
        if self._paused_since is None:
            self._paused_since = monotonic()
            events.emit(events.AcceptPaused, server, error)
        exhausted = getattr(error, "errno", None) in EXHAUSTED
        if exhausted and self._reserve is not None and server.overload != "backlog":
            self._turn_all_away()
        self.resume_at = monotonic() + pause
        return False

    def _turn_all_away(self):
        self.close()
        try:
            self._turn_away("descriptors", lambda: True)
        except OSError:
            pass  # all of them have gone, or somebody else was faster
        self._keep_reserve()

    def _keep_reserve(self):
        if self._reserve is None and self._server.overload != "backlog":
            try:
                self._reserve = os.open(os.devnull, os.O_RDONLY)
            except OSError:
                pass  # until there is one to spare, clients wait

    def listener_is_open(self):
        """Whether what is watched is what the server has."""
        try:
            return self._server.fileno() == self._watch.of
        except (OSError, ValueError, AttributeError):
            return False
