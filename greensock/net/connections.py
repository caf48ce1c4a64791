"""One connection in its server's books: whose, since when, how much, and how it ends."""

import mmap
import time
from math import inf
from time import monotonic

from zope.interface import implementer

from ..interfaces import IConnection
from .crew import Job


@implementer(IConnection)
class Connection(Job):
    """A Job that is a connection; it is the Meter of its socket, too.

    ``working_since``: when its handler began on what it is at work on, in monotonic seconds; inf
    while there is nothing.
    """

    __slots__ = (
        "model",
        "accepted_at",
        "working_since",
        "closed_at",
        "reason",
        "handshake_since",
        "received",
        "sent",
        "heard",
        "stuck_since",
        "seen",
        "cut_at",
        "counted_as",
        "__weakref__",
    )

    def __init__(self, request, client_address, model, worker=None):
        # Not by the constructor of a Job, because there is one of these for every connection.
        self.request = request
        self.client_address = client_address
        self.worker = worker
        self.was_cut = False
        self.was_told = False
        self.handler = None
        self.error = None
        self.model = model
        self.accepted_at = self.working_since = monotonic()
        self.closed_at = None
        self.reason = None
        self.handshake_since = 0.0  # monotonic seconds, while it is in the TLS handshake
        self.received = 0
        self.sent = 0
        self.heard = -1
        self.stuck_since = 0.0
        self.seen = None
        self.cut_at = None
        self.counted_as = None

    def __repr__(self):
        return f"<{self.state} connection from {self.client_address!r}>"

    @property
    def since(self):
        """When it was accepted, in seconds since the epoch."""
        return time.time() - (monotonic() - self.accepted_at)

    @property
    def seconds(self):
        """Its age, or how long it lasted."""
        return (self.closed_at or monotonic()) - self.accepted_at

    @property
    def state(self):
        """See IConnection."""
        if self.closed_at is not None:
            return "closed"
        if self.was_cut:
            return "cut"
        if self.is_in_handshake:
            return "handshake"
        return "parked" if self.is_at_rest else "open"

    @property
    def is_in_handshake(self):
        return bool(self.handshake_since)

    @property
    def is_fresh(self):
        """Whether nothing went over it yet."""
        return not self.received and not self.sent

    @property
    def is_waiting(self):
        """Whether its handler, a parked one, waits for the next message."""
        return self.is_at_rest or self.working_since == inf

    @property
    def is_answered(self):
        """Whether the last bytes that went over it were sent."""
        return self.heard == self.received

    def hold(self, request):
        """Go on with the request in another form, and count what goes through that."""
        try:
            request.meter = self
        except AttributeError:
            pass  # an application made it of its own kind
        self.request = request
        if self.was_cut:
            self.shut()  # who cut it may have met the old form, which is used up

    def close(self, reason):
        """It has ended, for ``reason`` unless there was one before."""
        self.closed_at = monotonic()
        if self.reason is None:
            self.reason = reason
        self.request = None  # which refers to its meter


_REASONS = (
    None,
    "finished",
    "failed",
    "handshake",
    "idle_timeout",
    "request_timeout",
    "handshake_timeout",
    "send_timeout",
    "kicked",
    "drain_timeout",
)


def _shared(position, kind):
    def get(self):
        return kind(self._page[position])

    def put(self, value):
        self._page[position] = value

    return property(get, put)


class SharedConnection(Connection):
    """One that a child process handles: what it counts there can be read here."""

    __slots__ = ("_page",)

    def __init__(self, request, client_address, model):
        # Numbers up to 2**53 are exact.
        self._page = memoryview(mmap.mmap(-1, 72)).cast("d")
        super().__init__(request, client_address, model)

    received = _shared(0, int)
    sent = _shared(1, int)
    heard = _shared(2, int)
    stuck_since = _shared(3, float)
    handshake_since = _shared(4, float)
    was_told = _shared(5, bool)
    working_since = _shared(6, float)
    was_cut = _shared(8, bool)

    @property
    def reason(self):
        return _REASONS[int(self._page[7])]

    @reason.setter
    def reason(self, value):
        self._page[7] = _REASONS.index(value)
