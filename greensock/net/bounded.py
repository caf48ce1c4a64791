"""Blocking sockets that keep their thread's deadline.

Each wait is made here, by polling: ``settimeout`` would do it too, but it acts on the descriptor,
which another thread may be using at that moment without a deadline.
"""

import _socket
import os
import select
import socket
import sys
from operator import itemgetter

from . import deadlines, native
from .meters import NOBODY, PIECE, received, sent, waiting_to_send
from .outbox import finish_outbox
from .turns import TurnsMixIn, await_ready, end_of

# Plain numbers: to reckon with enums takes as long as to send.
_PEEK, _DONTWAIT = int(socket.MSG_PEEK), int(socket.MSG_DONTWAIT)

_recv, _recv_into, _send = (
    getattr(_socket.socket, name) for name in ("recv", "recv_into", "send")
)


def _await_deadline(sock, event):
    """Wait until ``sock`` is ready if a deadline limits its waits; whether one does."""
    if deadlines.remaining() is None:
        return False
    own = sock.gettimeout()
    if own == 0:
        return False
    await_ready(sock, event, end_of(own))
    return True


def _reading(name, flags_at, count):
    """The method ``name``, whose argument at ``flags_at`` is flags; ``count(result)``: bytes."""
    inherited = getattr(native.Socket, name)

    def method(self, *args, **kwargs):
        _await_deadline(self, select.POLLIN)
        result = inherited(self, *args, **kwargs)
        flags = args[flags_at] if len(args) > flags_at else kwargs.get("flags", 0)
        if not flags & _PEEK:
            received(self.meter, count(result))
        return result

    method.__name__ = name
    method.__doc__ = inherited.__doc__
    return method


class BoundedSocket(TurnsMixIn, native.Socket):
    """A ``socket.socket`` whose reads and writes end with TimeoutError at the deadline.

    ``meter``: the Meter that counts what goes through it.
    """

    __slots__ = ("meter", "line")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.meter = NOBODY
        self.line = native.make_rlock()

    # What most handlers call, without a call more than it takes.

    def recv(self, bufsize, flags=0):
        if deadlines.ends:
            _await_deadline(self, select.POLLIN)
        data = _recv(self, bufsize, flags)
        if not flags & _PEEK:
            self.meter.received += len(data)
        return data

    def recv_into(self, buffer, nbytes=0, flags=0):
        if deadlines.ends:
            _await_deadline(self, select.POLLIN)
        count = _recv_into(self, buffer, nbytes, flags)
        if not flags & _PEEK:
            self.meter.received += count
        return count

    def sendall(self, data, flags=0):
        line = self.line
        if (
            deadlines.ends
            or type(data) is not bytes
            or self.gettimeout() is not None
            or line._is_owned()
        ):
            self._in_turn(self._sendall, data, flags)
            return
        if not line.acquire(False):
            self._await_line()
        meter = self.meter
        try:
            if meter.outbox is not None:
                self._let_precede()
            try:
                done = _send(self, data, flags | _DONTWAIT)
            except BlockingIOError:
                done = 0
            sent(meter, done)
            if done < len(data):
                self._sendall(data, flags, done)
        finally:
            self.end_turn()

    # All else.

    recvfrom = _reading("recvfrom", 1, lambda result: len(result[0]))
    recvfrom_into = _reading("recvfrom_into", 2, itemgetter(0))
    recvmsg = _reading("recvmsg", 2, lambda result: len(result[0]))
    recvmsg_into = _reading("recvmsg_into", 2, itemgetter(0))

    def send(self, data, flags=0):
        return self._in_turn(self._write, super().send, end_of(self.gettimeout()), flags, data)

    def sendto(self, data, *flags_and_address):
        *flags, address = flags_and_address
        send = super().sendto
        return self._in_turn(
            self._write,
            lambda data, flags: send(data, flags, address),
            end_of(self.gettimeout()),
            flags[0] if flags else 0,
            data,
        )

    def sendmsg(self, buffers, ancdata=(), flags=0, address=None):
        ancdata = list(ancdata)  # it may take more than one try
        send = super().sendmsg
        return self._in_turn(
            self._write,
            lambda buffers, flags: send(buffers, ancdata, flags, address),
            end_of(self.gettimeout()),
            flags,
            list(buffers),
        )

    def _sendall(self, data, flags, done=0):
        """Send what is left after ``done`` bytes."""
        if self.gettimeout() == 0:
            super().sendall(data, flags)
            sent(self.meter, memoryview(data).nbytes)
            return
        end = end_of(self.gettimeout())
        send = super().send
        with memoryview(data) as view, view.cast("B") as octets:
            while True:
                done += self._write(send, end, flags, octets[done:])
                if done >= len(octets):
                    return

    def _sendfile_use_sendfile(self, file, offset=0, count=None):
        """What ``sendfile`` tries first; here in pieces that are counted."""
        return self._in_turn(self._send_pieces, file, offset, count)

    def _send_pieces(self, file, offset, count):
        self._check_sendfile_params(file, offset, count)
        if self.gettimeout() == 0:
            raise ValueError("non-blocking sockets are not supported")
        total = 0
        try:
            source = file.fileno()
            limit = os.fstat(source).st_size and (count or sys.maxsize)
            done = 1
            while done and total < limit:
                done = self._send_part(source, offset + total, min(PIECE, limit - total))
                total += done
            return total
        except (TimeoutError, ConnectionError):
            raise
        except (AttributeError, OSError) as error:
            if total:
                raise
            # It is no regular file.
            raise socket._GiveupOnSendfile(error)  # type: ignore[attr-defined]
        finally:
            if total and hasattr(file, "seek"):
                file.seek(offset + total)

    def _send_part(self, source, at, size):
        if deadlines.remaining() is not None:
            # os.sendfile waits in the system, past any deadline.
            return self.send(os.pread(source, size, at))
        end = end_of(self.gettimeout())
        with waiting_to_send(self.meter):
            while True:
                try:
                    count = os.sendfile(self.fileno(), source, at, size)
                    break
                except BlockingIOError:
                    await_ready(self, select.POLLOUT, end)
        sent(self.meter, count)
        return count

    def shutdown(self, how):
        finish_outbox(self.meter, how)
        super().shutdown(how)

    def _write(self, send, end, flags, data):
        """Send some, waiting here and not in the system, which would not tell for how long."""
        count = self._write_patiently(send, end, flags, data)
        sent(self.meter, count)
        return count

    def _write_patiently(self, send, end, flags, data):
        if self.gettimeout() == 0:
            return send(data, flags)
        deadlines.check()
        # With a timeout of its own it would wait there all the same, before it sends.
        is_to_wait = self.gettimeout() is not None
        while True:
            if is_to_wait:
                with waiting_to_send(self.meter):
                    await_ready(self, select.POLLOUT, end)
            try:
                return send(data, flags | _DONTWAIT)
            except BlockingIOError:
                if flags & _DONTWAIT:
                    raise
            is_to_wait = True
