"""One connection in its server's books: whose, since when, how much, and how it ends."""

import socket
import time
from math import inf
from time import monotonic
from typing import Any

from gevent._hub_local import get_hub_if_exists
from zope.interface import implementer

from ..interfaces import IConnection
from .channel import Channel
from .crew import Job
from .guards import make_guard
from .outbox import Outbox
from .ways import way_of

# Held while a connection gets its outbox, or is noted to be in a room.
_founding = make_guard()


@implementer(IConnection)
class Connection(Job):
    """A Job that is a connection; it is the Meter of its socket, too.

    ``working_since``: when its handler began on what it is at work on, in monotonic seconds; inf
    while there is nothing. ``server``: whose it is; its ``send_buffer`` and ``slow_consumer`` are
    limits, and it is told of those who are too slow. ``outbox``: None until something is posted.
    ``channel``: where that is sent from then on, if it is a Channel, and None if not.
    """

    __slots__ = (
        "handler",
        "error",
        "model",
        "server",
        "outbox",
        "channel",
        "_is_ready",
        "_post",
        "_joined",
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
        "is_to_be_reset",
        "_proxy",
        "__weakref__",
    )

    def __init__(self, request, client_address, model, server=None):
        # Not by the constructor of a Job, because there is one of these for every connection.
        self.request = request
        self.client_address = client_address
        self.worker = None
        self.was_cut = False
        self.was_told = False
        self.handler = None
        self.error = None
        self.model = model
        self.accepted_at = self.working_since = monotonic()
        self.closed_at = None
        self.reason = None
        self.is_to_be_reset = False
        self.handshake_since = 0.0  # monotonic seconds, while it is in the TLS handshake
        self.received = 0
        self.sent = 0
        self.heard = -1
        self.stuck_since = 0.0
        self.seen = None
        self.cut_at = None
        self.counted_as = None
        self.server = server
        self.outbox: Any = None
        self.channel: Any = None
        self._post: Any = None
        self._joined: Any = None
        self._is_ready = False

    def __repr__(self):
        return f"<{self.state} connection from {self.client_address!r}>"

    @property
    def proxy(self):
        """The IProxyHeader it began with, or None."""
        try:
            return self._proxy
        except AttributeError:  # it is set only where there is one
            return None

    def note_proxy(self, header, data):
        """It began with ``header``, which came as ``data``: the peer is who that says."""
        self._proxy = header
        if header.source is not None:
            self.client_address = header.source

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

    def begin(self):
        """What is posted may be sent from now on."""
        self._is_ready = True
        if self.outbox is not None:
            self._open_outbox()

    def pause(self):
        """Send what was posted so far, and nothing more until ``begin``."""
        self._is_ready = False
        self._post = self.channel = None
        if self.outbox is not None:
            way = self.outbox.close_way()
            if way is not None:
                way.finish(len(self.outbox.queue))

    def post(self, data):
        """Send ``data``, without ever waiting; see IConnection."""
        post = self._post
        return self._post_slowly(data) if post is None else post(data)

    def _post_slowly(self, data):
        if self.closed_at is not None or self.was_cut:
            return False
        with _founding:
            if self.outbox is None:
                self.outbox = Outbox(self, self.server, self._be_too_slow)
        if self._is_ready:
            self._open_outbox()
        return self.outbox.post(data)

    def _open_outbox(self):
        with _founding:
            if self.outbox.way is not None or not self._is_ready:
                return
            way = way_of(self.outbox, self.request)
            self.outbox.open(way)
            self._post = way.post
            if type(self.request.turn) is Channel:
                self.channel = self.request.turn

    def _be_too_slow(self, waiting, dropped):
        self.server._gs_be_too_slow(self, waiting, dropped)

    def hang_up(self):
        """End it in order, without ever waiting; see IConnection."""
        if self.closed_at is not None or self.was_cut or self.request is None:
            return False
        self.was_told = True
        hub = getattr(self.request, "hub", None)
        if hub is None or hub is get_hub_if_exists():
            self.shut(socket.SHUT_RD)
        elif hub.loop:
            # There, for a greenlet that reads by OpenSSL looks whether it was told, and then reads.
            hub.loop.run_callback_threadsafe(self.shut, socket.SHUT_RD)
        return True

    def let_go(self):
        """See Job; nothing can be posted to it here any more."""
        self._post, self.channel = _refuse, None
        super().let_go()

    def start_afresh(self):
        """See Job."""
        if self.outbox is not None:
            self.outbox.start_afresh()

    def note_joined(self, room, member):
        """Have ``room.leave(member)`` called when it closes; False, and it is not, if it has."""
        with _founding:
            if self.closed_at is not None:
                return False
            if self._joined is None:
                self._joined = set()
            self._joined.add((room, member))
        return True

    def note_left(self, room, member):
        """It is not to be called any more."""
        with _founding:
            if self._joined is not None:
                self._joined.discard((room, member))

    def shut(self, how=socket.SHUT_RDWR):
        """See Job; what was posted is lost if it is shut both ways."""
        if how == socket.SHUT_RDWR and self.outbox is not None:
            self.outbox.discard()
        super().shut(how)

    @property
    def has_mail(self):
        """Whether something that was posted waits."""
        return self.outbox is not None and bool(self.outbox.queue)

    def close(self, reason):
        """It has ended, for ``reason`` unless there was one before."""
        self.closed_at = monotonic()
        if self.reason is None:
            self.reason = reason
        self._post, self.channel = _refuse, None
        if self.outbox is not None:
            self.outbox.discard()
        if self._joined is not None:
            self._leave_rooms()
        self.request = None  # which refers to its meter

    def _leave_rooms(self):
        with _founding:
            joined, self._joined = self._joined, None
        for room, member in joined:
            room.leave(member)


def _refuse(data):
    return False
