"""One plain HTTP request: its body onward, and its response back.

Theory of operation. The handler sends the request on and its response back. A body is sent on by a
task beside it, because a server may answer before it has read all, and may read nothing before its
answer is read. Whoever of both is done with the exchange wakes the other by shutting what that
waits for.
"""

import socket
from contextlib import suppress

import h11

from .http import has_body, request_onward, response_back

PIECE = 1 << 16

# Bytes of a head. Servers send more than h11 takes by default, and much more than browsers do.
LONGEST_HEAD = 1 << 16


class Peer:
    """One side: an h11 connection over ``sock``. ``lock``: for h11 while two use it."""

    def __init__(self, sock, role, lock, longest=1 << 14):
        self.sock = sock
        self.http = h11.Connection(role, max_incomplete_event_size=longest)
        self._lock = lock

    def hear(self):
        """What it says next: an h11 event. RemoteProtocolError if that is not HTTP."""
        while True:
            with self._lock:
                event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event
            data = self.sock.recv(PIECE)
            with self._lock:
                self.http.receive_data(data)

    def tell(self, *events):
        """Send it h11 events."""
        with self._lock:
            data = b"".join(filter(None, map(self.http.send, events)))
        self.sock.sendall(data)

    @property
    def rest(self):
        """What it has said already of what follows (bytes)."""
        return self.http.trailing_data[0]

    def is_ready_for_more(self):
        """Whether there may be another request; it is made ready for that."""
        if self.http.our_state is self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
            return True
        return False

    def shut(self, how):
        with suppress(OSError):
            self.sock.shutdown(how)


class Exchange:
    """What the Peer ``near`` asks of ``far`` with an h11 Request for a Target, and its answer.

    ``was_answered``: whether anything has come back. ``fault``: why the body did not come through,
    if the client is to blame, or None.
    """

    def __init__(self, near, far, request, target, toolbox):
        self.was_answered = False
        self._is_unwanted = False
        self.fault = None
        self._near = near
        self._far = far
        self._request = request
        self._target = target
        self._toolbox = toolbox

    def run(self):
        """Pass on both; the status of the response.

        OSError or RemoteProtocolError if the server, or the client, could not be served to the end.
        """
        head = request_onward(self._request, self._target)
        if not has_body(self._request):
            self._far.tell(head, h11.EndOfMessage())
            return self._send_response()
        self._far.tell(head)
        task = self._toolbox.spawn(self._send_body)
        goes_on = False
        try:
            status = self._send_response()
            # Whoever has answered and means to go on is going to read the rest of the body.
            goes_on = self._far.http.their_state is h11.DONE and not self._is_unwanted
            return status
        finally:
            if not goes_on:
                if self._far.http.our_state is h11.SEND_BODY:
                    self._near.shut(socket.SHUT_RD)
                self._far.shut(socket.SHUT_RDWR)
            task.join()

    def _send_body(self):
        try:
            is_over = False
            while not is_over:
                event = self._near.hear()
                is_over = type(event) is h11.EndOfMessage
                # Without what may trail it.
                piece = h11.EndOfMessage() if is_over else h11.Data(data=event.data)
                with suppress(ConnectionError):  # the handler finds out what has become of it
                    self._far.tell(piece)
        except (OSError, h11.ProtocolError) as error:
            if isinstance(error, h11.RemoteProtocolError):
                self.fault = error
            self._far.shut(socket.SHUT_RDWR)

    def _send_response(self):
        while True:
            event = self._far.hear()
            if isinstance(event, (h11.Response, h11.InformationalResponse)):
                status = event.status_code
                if status >= 200:
                    # A client that waits for leave to send its body has not got it.
                    self._is_unwanted = self._near.http.they_are_waiting_for_100_continue
                if status >= 200 or self._request.http_version >= b"1.1":
                    self.was_answered = True
                    self._near.tell(response_back(event))
                if status == 101:
                    return status
            elif isinstance(event, h11.Data):
                self._near.tell(event)
            elif isinstance(event, h11.EndOfMessage):
                self._near.tell(h11.EndOfMessage())
                return status
            else:
                raise ConnectionError("the server has left without an answer")
