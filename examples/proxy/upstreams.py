"""The servers that connections are forwarded to, and which of them is next.

Theory of operation. The one with the fewest connections is taken, of several such the one that has
waited longest. Who fails a few times in a row is ejected for a second. When that is over, one
connection tries it out, while the others stay away for twice as long as before, a minute at most.
The last in service is not ejected for what it breaks off, as a client can have it do. Who is found
to be down by checks is out until one finds it up.
"""

from collections import Counter
from contextlib import contextmanager
from time import monotonic

EJECTED, LONGEST = 1.0, 60.0  # seconds

# What it can fail at. To be reached says nothing about whether it breaks off what it has begun.
REACHED, FINISHED = "connect", "reset"

# Checks that fail in a row until it is down: one alone may be the network's fault.
BAD_CHECKS = 2


class NoUpstream(OSError):
    """None is in service."""


class Upstream:
    """One server. ``name``: HOST:PORT."""

    def __init__(self, address):
        self.address = address
        host, port = address
        self.name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.active = 0
        self.taken = 0
        self.failures = Counter()
        self.sent = 0
        self.received = 0
        self.bad_checks = 0
        self.in_a_row = Counter()
        self.ejections = 0
        self.ejected_until = 0.0
        self.last_taken = 0

    def state(self, now):
        """'up', or why it is not in service: 'down' or 'ejected'."""
        if self.bad_checks >= BAD_CHECKS:
            return "down"
        return "ejected" if now < self.ejected_until else "up"

    def eject(self, now):
        self.ejected_until = now + min(LONGEST, EJECTED * 2 ** min(self.ejections, 10))
        self.ejections += 1

    def take_back(self):
        self.in_a_row.clear()
        self.ejections = 0
        self.ejected_until = 0.0


class Upstreams:
    """Some servers to choose from. ``lock``: a lock for all who use them, which nobody keeps long.

    ``eject_after``: failures in a row until one is ejected, None for never. ``changed(upstream,
    state)`` is called when one is ejected, goes down or comes up.
    """

    def __init__(self, addresses, lock, eject_after=3, changed=None, clock=monotonic):
        self.all = [Upstream(address) for address in addresses]
        self._lock = lock
        self._eject_after = eject_after
        self._changed = changed or (lambda upstream, state: None)
        self._clock = clock
        self._turn = 0

    @contextmanager
    def take(self, but=()):
        """The one whose turn it is, none of ``but``; NoUpstream if there is none.

        It counts as in use for the time of the block.
        """
        with self._lock:
            now = self._clock()
            fit = [each for each in self.all if each not in but and each.state(now) == "up"]
            if not fit:
                states = ", ".join(f"{each.name} is {each.state(now)}" for each in self.all)
                raise NoUpstream(f"no upstream is left to try: {states}")
            upstream = min(fit, key=lambda each: (each.active, each.last_taken))
            self._turn += 1
            upstream.last_taken = self._turn
            upstream.active += 1
            upstream.taken += 1
            if upstream.ejections:
                upstream.eject(now)  # until it is known that this one went well
        try:
            yield upstream
        finally:
            with self._lock:
                upstream.active -= 1

    def note_failure(self, upstream, what):
        """It failed at ``what``, REACHED or FINISHED."""
        with self._lock:
            upstream.failures[what] += 1
            upstream.in_a_row[what] += 1
            limit = self._eject_after
            is_enough = limit is not None and upstream.in_a_row[what] >= limit
            # Many that break off at once are one failure, and no reason to stay away for long.
            is_new = is_enough and not upstream.ejections and self._may_go(upstream, what)
            if is_new:
                upstream.eject(self._clock())
        if is_new:
            self._changed(upstream, "ejected")

    def _may_go(self, upstream, what):
        """Whether it may be ejected for that."""
        now = self._clock()
        others = (each for each in self.all if each is not upstream)
        return what == REACHED or any(each.state(now) == "up" for each in others)

    def note_success(self, upstream, what):
        """It did not."""
        with self._lock:
            was_ejected = bool(upstream.ejections)
            del upstream.in_a_row[what]
            is_back = was_ejected and not upstream.in_a_row
            if is_back:
                upstream.take_back()
        if is_back:
            self._changed(upstream, "up")

    def note_check(self, upstream, is_well):
        """A check has found out how it is."""
        with self._lock:
            before = upstream.state(self._clock())
            if is_well:
                upstream.bad_checks = 0
                upstream.take_back()
            else:
                upstream.bad_checks += 1
            after = upstream.state(self._clock())
        if before != after:
            self._changed(upstream, after)

    def note_bytes(self, upstream, sent, received):
        """So many went to it, and came from it."""
        with self._lock:
            upstream.sent += sent
            upstream.received += received

    def states(self):
        """Each of them, and its state."""
        with self._lock:
            now = self._clock()
            return [(each, each.state(now)) for each in self.all]

    def are_in_use(self):
        """Whether there is any reason to check them: connections, or one that is out."""
        with self._lock:
            return any(
                each.active or each.bad_checks or each.in_a_row or each.ejections
                for each in self.all
            )
