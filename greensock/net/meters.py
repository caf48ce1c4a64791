"""How much goes through a socket, and in which direction last."""

from contextlib import contextmanager
from time import monotonic
from typing import Any


class Meter:
    """What the sockets here count with.

    ``received``, ``sent``: bytes. ``heard``: how many were received when the last ones were sent,
    -1 before any. ``stuck_since``: when a write began to wait for the peer, in monotonic seconds,
    0.0 if none waits; a byte taken begins it anew. ``outbox``: None, or an Outbox. ``was_told``:
    whether somebody here has shut the socket for reading. ``is_to_be_reset``: whether closing it
    resets the connection, as after ``relay`` has met with a reset.
    """

    outbox: Any = None
    was_told = False
    is_to_be_reset = False

    __slots__ = ("received", "sent", "heard", "stuck_since")

    def __init__(self):
        self.received = 0
        self.sent = 0
        self.heard = -1
        self.stuck_since = 0.0


NOBODY = Meter()
"""The meter of sockets that nobody looks at."""

# Bytes that are written at most before they are counted, where the system or TLS would wait until
# all are taken: a peer is to be seen to read. A call for less would cost more than it moves.
PIECE = 1 << 16


def received(meter, count):
    """Note that ``count`` bytes came in."""
    meter.received += count


def sent(meter, count):
    """Note that ``count`` bytes went out."""
    meter.sent += count
    meter.heard = meter.received
    if meter.stuck_since:
        meter.stuck_since = 0.0


@contextmanager
def waiting_to_send(meter):
    """To be entered while a write waits for the peer, and only then."""
    if meter.stuck_since:
        yield  # another one waits already, for longer
        return
    meter.stuck_since = monotonic()
    try:
        yield
    finally:
        meter.stuck_since = 0.0
