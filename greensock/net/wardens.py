"""Who looks after connections that take too long.

Theory of operation. Nothing is timed while bytes flow: a socket counts them, and that is all. A
warden walks round now and then, and compares. So a limit costs an operation nothing, holds for
every kind of socket and for workers in other threads and processes, and is kept to an eighth.
"""

from time import monotonic

import gevent

from .tenants import move_in, move_out

# Walks are at least so many seconds apart, and while somebody has to be ended or told to end, at
# most so many.
SHORTEST = 0.05
WATCHFUL = 0.1
LONGEST = 5.0

# Connections looked at before other greenlets get their turn.
IN_A_ROW = 500

# Seconds a worker has to end by itself once its connection was cut.
GRACE = 1.0

# Seconds a new connection may be silent before a server that drains takes it for an idle one.
FRESH = 1.0

# Seconds without a byte after which an answer is thought to be complete.
CALM = 0.2


class Warden:
    """Walks round the connections of one server, on one hub, as long as there is anything to do.

    The server has the limits, as IDeadlines names them, and ``is_draining``; ``connections()``
    lists the Connections; ``cut(connection, reason)``, ``kill(connection)`` and
    ``tell(connection)``, that nothing will follow, act.
    """

    def __init__(self, hub, limits, connections, cut, kill, tell):
        self._hub = hub
        self._limits = limits
        self._connections = connections
        self._cut = cut
        self._kill = kill
        self._tell = tell
        self._timer = None
        self._is_closed = False
        self._has_cut = False
        self._walks = False

    def wake(self):
        """Look whether there is anything to do now. Any thread may."""
        if not self._is_closed and self._hub.loop:
            self._hub.loop.run_callback_threadsafe(self._begin)

    def note_cut(self):
        """Somebody else has cut a connection: see that it ends."""
        self._has_cut = True
        self.wake()

    def goes_on(self, hub):
        """Whether it is at work on ``hub``, and will be."""
        return self._hub is hub and bool(hub.loop) and not self._is_closed

    def close(self):
        """Do no more than what is left to do for those who are there."""
        self._is_closed = True

    def leave(self):
        """Leave the loop: the hub is about to be destroyed."""
        self._is_closed = True
        self._stop_timer()

    def _begin(self):
        """Wait until the next walk, from now on. Called on the hub."""
        self._stop_timer()
        period = self._period() if self._hub.loop and not self._walks else None
        if period is not None:
            self._timer = self._hub.loop.timer(period, ref=False)
            self._timer.start(self._rise)
            move_in(self._hub, self)

    def _rise(self):
        self._stop_timer()
        self._walks = True
        gevent.spawn_raw(self._walk_and_rest)

    def _walk_and_rest(self):
        try:
            self.walk(lambda: gevent.sleep(0))
        finally:
            self._walks = False
            self._begin()

    def _stop_timer(self):
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()
            move_out(self._hub, self)

    def _period(self):
        """Seconds until the next walk; None if there is nothing to walk for."""
        limits = self._limits()
        connections = self._connections()
        if self._is_closed and not connections:
            return None
        if limits.is_draining or self._has_cut:
            return WATCHFUL
        times = [limit for limit in limits.deadlines if limit is not None]
        return max(SHORTEST, min(min(times) / 8, LONGEST)) if times else None

    def walk(self, pause=lambda: None):
        """Look at every connection once; ``pause()`` now and then. Any thread may.

        For those who wait for the connections of a server when its thread has gone already.
        """
        limits = self._limits()
        self._has_cut = False
        for number, connection in enumerate(self._connections(), 1):
            self._look(connection, limits, monotonic())
            if number % IN_A_ROW == 0:
                pause()

    def _look(self, connection, limits, now):
        if connection.was_cut:
            self._has_cut = True
            if connection.cut_at is None:
                connection.cut_at = now  # its own process has cut it
            elif now - connection.cut_at > GRACE:
                connection.cut_at = now  # it is tried once a second
                self._kill(connection)
            return
        reason = _overdue(connection, limits, now)
        if reason is not None:
            self._has_cut = True
            self._cut(connection, reason)
        elif limits.is_draining and _is_over(connection, now):
            self._tell(connection)


def _overdue(connection, limits, now):
    """Which limit a connection has passed; None if it may stay."""
    handshake_since = connection.handshake_since
    if handshake_since and limits.handshake_timeout is not None:
        # For the silence before the handler's time is not its peer's fault.
        connection.seen = (connection.received + connection.sent, now)
        late = _passed(now - handshake_since, limits.handshake_timeout)
        return "handshake_timeout" if late else None
    working = now - connection.working_since
    stuck_since = connection.stuck_since
    if stuck_since and _passed(now - stuck_since, limits.send_timeout):
        return "send_timeout"
    if not connection.is_waiting and _passed(working, limits.request_timeout):
        return "request_timeout"
    if limits.idle_timeout is not None and _passed(_quiet(connection, now), limits.idle_timeout):
        return "idle_timeout"
    return None


def _passed(seconds, limit):
    return limit is not None and seconds >= limit


def _quiet(connection, now):
    """For how long no byte went over a connection, as far as walks have shown."""
    total = connection.received + connection.sent
    if connection.seen is None:
        connection.seen = (0, connection.accepted_at)
    if connection.seen[0] != total:
        connection.seen = (total, now)
    return now - connection.seen[1]


def _is_over(connection, now):
    """Whether nothing is asked of the handler, so that the connection may as well end."""
    if connection.is_fresh:
        return now - connection.accepted_at > FRESH
    # An answer may come in pieces.
    return connection.is_waiting or connection.is_answered and _quiet(connection, now) >= CALM
