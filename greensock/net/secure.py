"""TLS over a cooperative socket: gevent's, counted, and with a proper end.

To be imported through ``handover.load_tls`` alone.
"""

import ssl
from socket import SHUT_RD

import gevent.ssl

from .meters import NOBODY, PIECE, received, sent, waiting_to_send


def say_goodbye(tls):
    """Send the alert that nothing follows, without which a peer must suspect an attack.

    RFC 8446, section 6.1. ``tls``: the SSLObject. Its peer's own alert is not waited for.
    """
    try:
        tls.shutdown()
    except (ssl.SSLError, OSError):
        pass  # it was sent, and the answer is not there yet; or nobody can be told any more


class PiecesMixIn:
    """Writes in pieces. ``meter``: the Meter that counts what goes through."""

    meter = NOBODY

    # How much was taken of a write that was broken off. As OpenSSL does, which takes all or raises,
    # the next write is thought to be the same again.
    _taken = 0

    def _write_pieces(self, write, data, *args, **kwargs):
        """Have ``write`` take ``data`` and count it as it goes; the number of bytes taken."""
        with memoryview(data) as view, view.cast("B") as octets:
            while True:
                count = write(octets[self._taken:self._taken + PIECE], *args, **kwargs)
                sent(self.meter, count)
                self._taken += count
                if count < PIECE or self._taken == len(octets):
                    taken, self._taken = self._taken, 0
                    return taken


class CooperativeSSLSocket(PiecesMixIn, gevent.ssl.SSLSocket):
    """A ``gevent.ssl.SSLSocket``, counted."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self._sslobj is not None:
            # What an SNI callback gets, and switches the context of. gevent names the C socket
            # inside instead, which only a context of its own can tell the way back from.
            self._sslobj.owner = self

    def _sslsock(self):
        """The way back, for such a context."""
        return self

    def read(self, nbytes=2014, buffer=None):
        """Read decrypted bytes; see ``ssl.SSLSocket.read``."""
        result = super().read(nbytes, buffer)
        received(self.meter, len(result) if buffer is None else result)
        return result

    def write(self, data):
        """Encrypt and send; the number of bytes of ``data`` taken."""
        return self._write_pieces(super().write, data)

    def send(self, data, *args, **kwargs):
        """Encrypt and send some of ``data``; see ``socket.send``."""
        if self._sslobj is not None and (self._taken or memoryview(data).nbytes > PIECE):
            return self._write_pieces(super().send, data, *args, **kwargs)
        count = super().send(data, *args, **kwargs)
        sent(self.meter, count)
        return count

    def shutdown(self, how):
        """Shut one side of the connection, or both; see ``socket.shutdown``."""
        if how != SHUT_RD and self._sslobj is not None:
            say_goodbye(self._sslobj)
        super().shutdown(how)

    def _wait(self, watcher, timeout_exc=None):
        if watcher is not self._write_event:
            super()._wait(watcher, timeout_exc)
            return
        with waiting_to_send(self.meter):
            super()._wait(watcher, timeout_exc)
