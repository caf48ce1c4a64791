"""What the handlers of all modes share: who may come, where they may go, and how it ends."""

import logging
import socket
import struct
from contextlib import suppress

from greensock import BaseRequestHandler, relay

from .rules import Rules

logger = logging.getLogger("proxy")

# Seconds, and reads, for which who has heard the last word may go on talking.
_FAREWELL, _MOST_UNREAD = 2.0, 16

_RESET = struct.pack("ii", 1, 0)


class ProxyHandler(BaseRequestHandler):
    """One client's connection. A subclass has ``serve()``, and says what it is as ``mode``.

    All durations are seconds, and None is no limit: ``patience`` for what a client has to say
    before it is connected, ``connect_timeout`` for reaching the other side, and ``silence`` for
    both to say nothing once they are connected.

    ``rules``: where clients may go. ``clients``: the networks they may come from, None for all.
    ``users``: those who must log in, None if nobody need. ``outcomes``: the Outcomes that count
    what has happened, or None.
    """

    mode = ""
    patience = 10.0
    connect_timeout = 10.0
    silence = 600.0
    rules = Rules()
    clients = None
    users = None
    outcomes = None

    is_cut_off = False

    def handle(self):
        if self.clients is not None and self.client_address not in self.clients:
            self.note("client not allowed")
            self.cut_off()
            return
        keep_alive(self.request)
        try:
            self.serve()
        except TimeoutError:
            self.note("timed out")
            self.cut_off()
        except OSError as error:
            self.note("broken off", reason=error)
            self.cut_off()

    def finish(self):
        if self.is_cut_off:
            self.request.close()  # or else it is told goodbye first, which passes for the end
        super().finish()

    def cut_off(self):
        """Have the client told, by a reset in the end, that not all was said."""
        self.is_cut_off = True
        abort(self.request)

    def connect(self, host, port):
        """A connection to there; PermissionError if that is not allowed, OSError if it fails."""
        onward = self.toolbox.connect((host, port), self.connect_timeout, self.rules.allow)
        keep_alive(onward)
        return onward

    def relay(self, onward):
        """Have both talk until they are done; an IRelayed. Who is cut off is told so by a reset."""
        relayed = relay(self.request, onward, self.silence)
        if relayed.reason != "finished":
            self.cut_off()
            abort(onward)
        return relayed

    def say_last(self, data):
        """Send ``data``, and see that it arrives although nothing more of the client is read."""
        with suppress(OSError), self.toolbox.deadline(_FAREWELL):
            self.request.sendall(data)
            self.request.shutdown(socket.SHUT_WR)
            # To close it with bytes unread would reset it, and take back what was said.
            for _ in range(_MOST_UNREAD):
                if not self.request.recv(1 << 16):
                    break

    def note(self, outcome, target="", reason=""):
        """Count what has happened, and write it down."""
        if self.outcomes is not None:
            self.outcomes.note(self.mode, outcome)
        details = f" ({reason})" if reason else ""
        client = self.client_address
        logger.info("%s %s %s: %s%s", self.mode, _text(client), target or "-", outcome, details)


def _text(address):
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "unix"


def abort(sock):
    """Have a connection be reset when it is closed, because it has not come to its end."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def keep_alive(sock):
    """Have the system find out, in some hours, if the peer's machine is gone."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def was_reset(sock):
    """Whether this side of a relay is the one that failed: it is connected no more."""
    try:
        sock.getpeername()
    except OSError:
        return True
    return False
