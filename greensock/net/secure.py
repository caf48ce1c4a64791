"""TLS over a cooperative socket: gevent's, counted, and with a proper end.

To be imported through ``handover.load_tls`` alone.
"""

import _socket
import errno
import os
import ssl
from functools import partial
from socket import MSG_DONTWAIT, MSG_PEEK, SHUT_RD
from time import monotonic

import gevent.socket
import gevent.ssl
from gevent.exceptions import ConcurrentObjectUseError
from gevent.hub import getcurrent

from .blame import rightly
from .handover import raw
from .meters import NOBODY, PIECE, received, sent, waiting_to_send
from .outbox import finish_outbox


def say_goodbye(tls):
    """Send the alert that nothing follows, without which a peer must suspect an attack.

    RFC 8446, section 6.1. ``tls``: the SSLObject. Its peer's own alert is not waited for.
    """
    try:
        rightly(tls.shutdown)
    except (ssl.SSLError, OSError):
        pass  # it was sent, and the answer is not there yet; or nobody can be told any more


class Told(Exception):
    """Nothing more is to be read, because somebody here has shut the socket for that."""


def heed_end(sock, tls):
    """Raise Told if that is so, and all that came before was read.

    OpenSSL is not to see it: to it, an end that the peer has not announced is an attack, after
    which it sends nothing any more.
    """
    if sock.meter.was_told and not tls.pending():
        try:
            if not _socket.socket.recv(raw(sock), 1, MSG_PEEK | MSG_DONTWAIT):
                raise Told
        except OSError:
            pass  # it is not there yet; or the connection is broken, which OpenSSL will tell


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


def send_now(tls, data):
    """Encrypt and send some of ``data``; BlockingIOError, which says why, rather than wait.

    What is sent next must be the same then.
    """
    if tls is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    try:
        return rightly(tls.write, data)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wants:
        raise BlockingIOError from wants


class SecureTurn:
    """Whose turn it is to write to a cooperative socket under TLS; as a Channel's.

    ``owes``: whether a handler's write was broken off, so that no other one can be made.
    """

    is_secure = True

    def __init__(self, hub, tls, writer):
        self.hub = hub
        self.meter = NOBODY
        self.owes = False
        self._tls = tls
        self._writer = writer
        self._owner = None
        self._wants_read = False
        self._reader = None

    @property
    def is_taken(self):
        return self._owner is not None or self.owes

    @property
    def is_mine(self):
        return self._owner is getcurrent()

    def send(self, data):
        try:
            return send_now(self._tls, data)
        except BlockingIOError as error:
            self._wants_read = isinstance(error.__cause__, ssl.SSLWantReadError)
            raise

    def take(self):
        if self._owner is not None:
            raise ConcurrentObjectUseError(
                f"This socket is already used by another greenlet: {self._owner!r}"
            )
        self._owner = getcurrent()
        self._call_nobody()

    def end(self):
        self._owner = None
        outbox = self.meter.outbox
        if outbox is not None and outbox.queue:
            outbox.go_on()
        else:
            self.need_no_room()

    def wait_for_room(self, seconds, moved):
        self._note_stuck(moved)
        gevent.socket.wait(self._watcher, seconds, TimeoutError("timed out"))

    def call_for_room(self, function, moved):
        self._note_stuck(moved)
        self._call_nobody()
        self._watcher.start(function)

    def need_no_room(self):
        self._call_nobody()
        self.meter.stuck_since = 0.0

    def stop_sending(self):
        """Nothing needs to be done: whoever has the turn looks what waits."""

    def close(self):
        """Nothing more is sent."""
        self._tls = None
        if self._reader is not None:
            self._reader.close()

    @property
    def _watcher(self):
        if not self._wants_read:
            return self._writer
        if self._reader is None:
            self._reader = self.hub.loop.io(self._writer.fd, 1)  # a handler may use the other
        return self._reader

    def _call_nobody(self):
        for watcher in self._writer, self._reader:
            if watcher is not None and watcher.active:
                watcher.stop()

    def _note_stuck(self, moved):
        meter = self.meter
        if moved or not meter.stuck_since:
            meter.stuck_since = monotonic()


class CooperativeSSLSocket(PiecesMixIn, gevent.ssl.SSLSocket):
    """A ``gevent.ssl.SSLSocket``, counted, whose writers take turns."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self._sslobj is not None:
            # What an SNI callback gets, and switches the context of. gevent names the C socket
            # inside instead, which only a context of its own can tell the way back from.
            self._sslobj.owner = self
        self.turn = SecureTurn(self.hub, self._sslobj, self._write_event)

    @property
    def meter(self):
        """The Meter that counts what goes through it."""
        return self.turn.meter

    @meter.setter
    def meter(self, meter):
        self.turn.meter = meter

    def _sslsock(self):
        """The way back, for such a context."""
        return self

    def read(self, nbytes=2014, buffer=None):
        """Read decrypted bytes; see ``ssl.SSLSocket.read``."""
        try:
            if self._sslobj is not None:
                heed_end(self, self._sslobj)
            result = rightly(super().read, nbytes, buffer)
        except Told:
            return b"" if buffer is None else 0
        received(self.meter, len(result) if buffer is None else result)
        return result

    def write(self, data):
        """Encrypt and send; the number of bytes of ``data`` taken."""
        return self._in_turn(self._write, data)

    def send(self, data, *args, **kwargs):
        """Encrypt and send some of ``data``; see ``socket.send``."""
        return self._in_turn(self._send, data, *args, **kwargs)

    def sendall(self, data, flags=0):
        """Encrypt and send all of ``data``; see ``socket.sendall``."""
        return self._in_turn(super().sendall, data, flags)

    def _write(self, data):
        return self._write_pieces(partial(rightly, super().write), data)

    def _send(self, data, *args, **kwargs):
        send = partial(rightly, super().send)
        if self._sslobj is not None and (self._taken or memoryview(data).nbytes > PIECE):
            return self._write_pieces(send, data, *args, **kwargs)
        count = send(data, *args, **kwargs)
        sent(self.meter, count)
        return count

    def _in_turn(self, write, data, *args, **kwargs):
        turn = self.turn
        if self._sslobj is None or turn.is_mine:
            return write(data, *args, **kwargs)
        self.take_turn()
        try:
            turn.owes = True
            count = write(data, *args, **kwargs)
            # Nothing at all is how gevent says that it would have to wait.
            turn.owes = count == 0 and memoryview(data).nbytes > 0
            return count
        finally:
            self.end_turn()

    def take_turn(self):
        """Let nobody else write until ``end_turn()``, and send what was posted before."""
        self.turn.take()
        if not self.turn.owes and self.meter.outbox is not None:
            try:
                self._let_precede()
            except BaseException:
                self.end_turn()
                raise

    def end_turn(self):
        """Let others write."""
        self.turn.end()

    def _let_precede(self):
        ends = None if self.timeout is None else monotonic() + self.timeout

        def wait(moved):
            if self.timeout == 0.0:
                raise ssl.SSLWantWriteError("what was posted before waits")
            left = None if ends is None else max(0.0, ends - monotonic())
            self.turn.wait_for_room(left, moved)

        self.meter.outbox.give_way(self.turn.send, wait)

    def do_handshake(self):
        """Make the handshake; see ``ssl.SSLSocket.do_handshake``."""
        rightly(super().do_handshake)

    def unwrap(self):
        """Go on in plain; see ``ssl.SSLSocket.unwrap``."""
        return rightly(super().unwrap)

    def shutdown(self, how):
        """Shut one side of the connection, or both; see ``socket.shutdown``."""
        finish_outbox(self.meter, how)
        if how != SHUT_RD and self._sslobj is not None:
            say_goodbye(self._sslobj)
        self.turn.close()
        super().shutdown(how)

    def _drop_events_and_close(self, *args, **kwargs):
        self.turn.close()
        super()._drop_events_and_close(*args, **kwargs)

    def _wait(self, watcher, timeout_exc=None):
        if watcher is not self._write_event:
            super()._wait(watcher, timeout_exc)
            if self._sslobj is not None:
                heed_end(self, self._sslobj)
            return
        with waiting_to_send(self.meter):
            super()._wait(watcher, timeout_exc)
