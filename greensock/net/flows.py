"""One direction of a relay: from an end that is read to one that is written.

Theory of operation. A flow waits for one thing at a time: for something to read or, while it holds
what its sink did not take, for room to write. So it never holds more than one piece, and a sink
that is not read makes the source wait. Pieces that come full mean that there is much to move: then,
between plain sockets, the kernel moves it through a pipe, up to a megabyte at a time, until little
comes at a time again.
"""

import errno
import os
from time import monotonic
from typing import Any

from . import pipes

PIECE = 1 << 16

# After so many full pieces in a row a pipe is taken, and after so many small ones it is given back.
FULL = 2
SMALL = 8

# Pieces moved at a time before others get their turn.
IN_A_ROW = 4

_SPLICE = getattr(os, "SPLICE_F_NONBLOCK", 0) | getattr(os, "SPLICE_F_MOVE", 0)


class Flow:
    """Moves what ``source`` says to ``sink``, each an End, without ever waiting.

    ``reads`` and ``writes``: while between their ``start(function)`` and ``stop()`` the source has
    something, or the sink has room, the function is called. ``soon(function)`` has it called once.
    ``ended(flow)`` is called when the sink has all it will get, and ``failed(error)`` if the source
    has failed.

    ``moved``: bytes the sink has taken. ``is_over``: whether nothing more will be moved.
    ``lost``: why the sink takes no more (OSError), None if it was told that nothing follows.
    """

    def __init__(self, source, sink, reads, writes, soon, ended, failed):
        self.moved = 0
        self.is_over = False
        self.lost = None
        self.source = source
        self.sink = sink
        self._recv = source.recv
        self._send = sink.send
        self._reads = reads
        self._writes = writes
        self._soon = soon
        self._ended = ended
        self._failed = self.throw = failed  # gevent throws where a wait is cancelled
        self._left: Any = None
        self._in_a_row = 0
        self._pipe: Any = None
        self._may_splice = source.is_plain and sink.is_plain
        # TLS may have decrypted what nobody will be told of.
        self._move_some = self._move if source.is_plain else self._move_several

    def begin(self):
        """Move what there is, and what will come."""
        self._reads.start(self._move_some)
        if not self.source.is_plain:
            self._soon(self._move_some)

    def stop(self):
        """Move no more."""
        if not self.is_over:
            self.is_over = True
            self._reads.stop()
            self._writes.stop()
            self.sink.meter.stuck_since = 0.0
            self._give_pipe_back()

    def _end(self):
        self.stop()
        self._ended(self)

    def _move(self):
        """Move a piece. Whether there may be another one."""
        try:
            data = self._recv(PIECE)
        except BlockingIOError:
            return False
        except Exception as error:
            self._failed(error)
            return False
        size = len(data)
        if not size:
            self._finish()
            return False
        self.source.meter.received += size
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except Exception as error:
            self._lose_sink(error)
            return False
        self.moved += sent
        meter = self.sink.meter
        meter.sent += sent
        meter.heard = meter.received
        if sent != size:
            self._hold(memoryview(data)[sent:])
            return False
        if size != PIECE:
            self._in_a_row = 0
        elif self._may_splice:
            self._in_a_row += 1
            if self._in_a_row == FULL:
                return self._begin_to_splice()
        return True

    def _move_several(self):
        if self.is_over or self._left is not None:
            return
        for _ in range(IN_A_ROW):
            if not self._move():
                return
        self._soon(self._move_several)

    def _hold(self, data):
        """Keep what the sink has no room for."""
        self._left = data
        self._await_room(self._give)

    def _await_room(self, function):
        self._reads.stop()
        self.sink.meter.stuck_since = monotonic()
        self._writes.start(function)

    def _go_on(self, function):
        """The sink has taken what there was."""
        self._writes.stop()
        self.sink.meter.stuck_since = 0.0
        self._reads.start(function)

    def _give(self):
        """There is room for what is held."""
        try:
            sent = self._send(self._left)
        except BlockingIOError:
            return
        except Exception as error:
            self._lose_sink(error)
            return
        self._note_sent(sent)
        self._left = self._left[sent:]
        if not self._left:
            self._left = None
            self._go_on(self._move_some)
            if not self.source.is_plain:
                self._soon(self._move_some)

    def _note_sent(self, count):
        self.moved += count
        meter = self.sink.meter
        meter.sent += count
        meter.heard = meter.received
        if meter.stuck_since:
            meter.stuck_since = monotonic()

    def _finish(self):
        """The source has said its last."""
        if self.source.was_reset is not None:
            self._failed(self.source.was_reset)
            return
        try:
            self.sink.finish()
        except BlockingIOError:
            self._await_room(self._finish)
        else:
            self._end()

    def _lose_sink(self, error):
        self.lost = error
        if getattr(error, "errno", None) == errno.ECONNRESET:
            self.sink.was_reset = error  # nobody is told twice
        self._end()

    # Through a pipe

    def _begin_to_splice(self):
        self._in_a_row = 0
        self._pipe = pipes.take()
        if self._pipe is None:
            return True
        self._reads.start(self._splice)
        return False

    def _end_splicing(self):
        self._give_pipe_back()
        self._in_a_row = 0
        self._go_on(self._move_some)

    def _give_pipe_back(self):
        if self._pipe is not None:
            pipes.give_back(self._pipe)
            self._pipe = None

    def _splice(self):
        """Move what there is through the pipe, which is empty.

        Once a turn: what has come since is little, and more comes before the next.
        """
        pipe = self._pipe
        try:
            size = os.splice(self.source.fileno(), pipe.input, pipes.CAPACITY, flags=_SPLICE)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.EINVAL:  # not from a socket like this
                self._may_splice = False
                self._end_splicing()
            else:
                self._failed(error)
            return
        if not size:
            self._finish()
            return
        self.source.meter.received += size
        pipe.held = size
        if self._empty_pipe():
            self._in_a_row = 0 if size >= PIECE else self._in_a_row + 1
            if self._in_a_row == SMALL:
                self._end_splicing()

    def _empty_pipe(self):
        """Give the sink what the pipe holds; whether it took all."""
        pipe = self._pipe
        while pipe.held:
            try:
                sent = os.splice(pipe.output, self.sink.fileno(), pipe.held, flags=_SPLICE)
            except BlockingIOError:
                self._await_room(self._empty_and_go_on)
                return False
            except OSError as error:
                if error.errno == errno.EINVAL:  # not into a socket like this
                    self._may_splice = False
                    self._unload()
                else:
                    self._lose_sink(error)
                return False
            pipe.held -= sent
            self._note_sent(sent)
        return True

    def _empty_and_go_on(self):
        if self._empty_pipe():
            self._go_on(self._splice)

    def _unload(self):
        """Go on by copying what the pipe holds."""
        pipe, held = self._pipe, []
        while pipe.held:
            held.append(os.read(pipe.output, pipe.held))
            pipe.held -= len(held[-1])
        self._give_pipe_back()
        self._hold(memoryview(b"".join(held)))
