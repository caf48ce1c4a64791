"""How what was posted to a connection is sent: on the hub it belongs to, or where there is none.

Each has ``post(data)`` for a connection that is ready, as fast as can be; ``wake()``, to send what
the system takes of what waits, and the rest when there is room; and ``finish()``, to wait until all
is sent. The connection's socket sees to turns: a TurnOnHub or a TurnOfThreads.
"""

from time import monotonic

from gevent._hub_local import get_hub_if_exists

from . import native
from .flusher import flusher
from .outbox import as_octets

# Seconds that the end of a handler waits for others that write at that moment.
PATIENCE = 1.0


def way_of(outbox, request):
    """The way for the connection that ``request`` is. TypeError if it is an application's own."""
    turn = getattr(request, "turn", None)
    if turn is None:
        raise TypeError(f"nothing can be posted to {request!r}, which get_request has made")
    if turn.hub is None:
        return WayOfThreads(outbox, turn)
    return (SecureWayOnHub if turn.is_secure else WayOnHub)(outbox, turn)


def post_to_many(connections, data, skipped=()):
    """Post ``data``, as octets, to Connections but those ``skipped``; how many have taken it."""
    # What their post would do, without the calls: of ten thousand, most are of this kind.
    hub = get_hub_if_exists()
    size = len(data)
    taken = 0
    for connection in connections:
        if skipped and connection in skipped:
            continue
        channel = connection.channel
        if channel is None or channel.hub is not hub:
            if connection.post(data):
                taken += 1
            continue
        try:
            sent = channel.send_now(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            continue
        if sent == size:
            connection.sent += size
            connection.heard = connection.received
            taken += 1
        elif connection.outbox.way.keep_rest(data, sent):
            taken += 1
    return taken


class WayOnHub:
    """In the callbacks of a hub."""

    __slots__ = ("_outbox", "_turn", "_meter", "_thread", "_is_called")

    def __init__(self, outbox, turn):
        self._outbox = outbox
        self._turn = turn
        self._meter = outbox.meter
        self._thread = turn.hub.thread_ident
        self._is_called = False

    def post(self, data):
        if native.get_ident() != self._thread:
            return self._outbox.post(data)
        if type(data) is not bytes:
            data = as_octets(data)
        try:
            sent = self._turn.send_now(data)
        except BlockingIOError:  # or it is somebody's turn
            sent = 0
        except OSError:
            return False
        if sent == len(data) != 0:
            meter = self._meter
            meter.sent += sent
            meter.heard = meter.received
            return True
        return self.keep_rest(data, sent)

    def keep_rest(self, data, sent):
        """Keep what is left of ``data``, of which some was ``sent``; whether it was taken."""
        if not data:
            return not self._outbox.is_closed
        if sent:
            meter = self._meter
            meter.sent += sent
            meter.heard = meter.received
        outbox = self._outbox
        if outbox.queue and not sent and not self._meter.stuck_since:
            return outbox.post(data)  # what waits came from elsewhere, and was not tried yet
        if not outbox.keep(data, sent):
            return False
        if not self._turn.is_taken:
            self._turn.call_for_room(self.flush, sent)
        return True

    def wake(self):
        if native.get_ident() == self._thread:
            self.flush()
            return
        self._turn.stop_sending()  # a handler that comes to write has to write this first
        if not self._is_called:
            self._is_called = True
            try:
                self._turn.hub.loop.run_callback_threadsafe(self._come)
            except (AttributeError, ValueError):
                self._outbox.discard()  # the hub has gone with its thread

    def _come(self):
        self._is_called = False
        self.flush()

    def flush(self):
        """Send what there is room for. In the hub's thread."""
        turn = self._turn
        outbox = self._outbox
        if turn.is_taken or outbox.way is not self:
            return  # whoever has it will see to it
        before = self._meter.sent
        try:
            is_done = outbox.pour(turn.send)
        except OSError:
            outbox.discard()
            is_done = True
        if is_done:
            turn.need_no_room()
        else:
            turn.call_for_room(self.flush, self._meter.sent != before)
            outbox.look()

    def throw(self, error):
        """The socket is closed, says gevent to whoever waits for it."""
        self._outbox.discard()

    def finish(self, most=None):
        turn = self._turn
        if turn.is_taken:
            self._outbox.discard()  # some other greenlet is in the midst of something
            return
        turn.take()
        try:
            self._outbox.precede(turn.send, lambda moved: turn.wait_for_room(None, moved), most)
        except OSError:
            self._outbox.discard()
        finally:
            turn.end()


class SecureWayOnHub(WayOnHub):
    """The same under TLS, where what was tried must be tried again before anything else."""

    __slots__ = ()

    def post(self, data):
        outbox, turn = self._outbox, self._turn
        if native.get_ident() != self._thread or outbox.queue or turn.is_taken:
            return outbox.post(data)
        data = as_octets(data)
        try:
            sent = turn.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        meter = self._meter
        meter.sent += sent
        meter.heard = meter.received
        if sent == len(data):
            return not outbox.is_closed
        if not outbox.keep(data, sent, is_begun=True):
            return False
        turn.call_for_room(self.flush, sent)
        return True


class WayOfThreads:
    """Between threads, with one more to wait for room."""

    __slots__ = ("_outbox", "_turn", "_line", "_meter")

    def __init__(self, outbox, turn):
        self._outbox = outbox
        self._turn = turn
        self._line = turn.line
        self._meter = outbox.meter

    def post(self, data):
        outbox, line, turn = self._outbox, self._line, self._turn
        if outbox.queue or line._is_owned() or not line.acquire(False):
            return outbox.post(data)
        try:
            data = as_octets(data)
            if outbox.queue or outbox.way is not self or turn.owes:
                taken = outbox.keep(data)
            else:
                taken = self._post(data)
        finally:
            line.release()
        if outbox.queue:
            outbox.go_on()
        return taken

    def _post(self, data):
        is_begun = self._turn.is_secure
        try:
            sent = self._turn.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        meter = self._meter
        meter.sent += sent
        meter.heard = meter.received
        if sent == len(data):
            return not self._outbox.is_closed
        return self._outbox.keep(data, sent, is_begun)

    def wake(self):
        """Send what there is room for, unless somebody has the turn, who will see to it."""
        outbox, line, turn = self._outbox, self._line, self._turn
        while outbox.queue and not line._is_owned() and line.acquire(False):
            try:
                if turn.owes or outbox.way is not self:
                    return
                is_done = self._pour()
            finally:
                line.release()
            if not is_done:
                # If there can be no thread, the handler sends it with what it writes next.
                flusher.watch(turn.fileno(), turn.wanted(), outbox.go_on)
                outbox.look()
                return

    def _pour(self):
        meter = self._meter
        before = meter.sent
        try:
            is_done = self._outbox.pour(self._turn.send)
        except OSError:
            self._outbox.discard()
            is_done = True
        if is_done:
            meter.stuck_since = 0.0
        elif meter.sent != before or not meter.stuck_since:
            meter.stuck_since = monotonic()
        return is_done

    def finish(self, most=None):
        # Who posts has the turn for a moment; another thread of the handler may have it for ever.
        if not self._line.acquire(timeout=PATIENCE):
            self._outbox.discard()
            return
        try:
            if not self._turn.owes:
                self._outbox.precede(self._turn.send, self._turn.wait, most)
        except OSError:
            self._outbox.discard()
        finally:
            self._meter.stuck_since = 0.0
            self._line.release()
