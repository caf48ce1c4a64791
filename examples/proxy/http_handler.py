"""An HTTP proxy: CONNECT, and plain requests that are passed on one after another."""

import select

import h11

from .handling import ProxyHandler
from .http import HTTPError, credentials_of, has_body, is_repeatable, target_of
from .http_exchange import LONGEST_HEAD, Exchange, Peer
from .socks import Reply, code_of

_STATUS = {Reply.NOT_ALLOWED: 403, Reply.EXPIRED: 504}
_LOG_IN = ("Proxy-Authenticate", 'Basic realm="greensock", charset="UTF-8"')


class Http(ProxyHandler):
    """Serves CONNECT and http:// requests."""

    mode = "http"

    def setup(self):
        super().setup()
        self.lock = self.toolbox.Lock()
        self.near = Peer(self.request, h11.SERVER, self.lock)
        self.far = self.where = None
        self.wants_head = False

    def finish(self):
        self._leave_server()
        super().finish()

    def serve(self):
        self.request.settimeout(self.silence)
        while (request := self._next_request()) is not None:
            try:
                if not self._answer(request):
                    return
            except HTTPError as error:
                if not self._refuse(error):
                    return

    def _next_request(self):
        """The next request; None if the client has left, or said what is none."""
        try:
            with self.toolbox.deadline(self.patience):
                event = self.near.hear()
                if isinstance(event, h11.Request) and not has_body(event):
                    self.near.hear()  # its end
        except h11.RemoteProtocolError as error:
            self._refuse(HTTPError(error.error_status_hint, f"this is not HTTP: {error}"))
            return None
        except TimeoutError:
            if self.near.rest:  # or else it has merely nothing to ask
                self._refuse(HTTPError(408, f"no whole request came in {self.patience:g} s"))
            return None
        if not isinstance(event, h11.Request):
            return None
        self.wants_head = event.method == b"HEAD"
        return event

    def _answer(self, request):
        """Have a request answered; whether there may be another one after it."""
        target = target_of(request)
        if self.users is not None and not self._is_known(request):
            raise HTTPError(407, "log in with a name and a password")
        if target.path is None:
            self._tunnel(target)
            return False
        was_there = self._reach(target)
        status = self._exchange(request, target, was_there and is_repeatable(request))
        if status is None:
            # The server has left while nobody asked it for anything.
            self._reach(target)
            status = self._exchange(request, target)
        self.note(str(status), target)
        if status == 101:
            self.request.sendall(self.far.rest)
            self._join(self.far.sock, target)
            return False
        if not self.far.is_ready_for_more():
            self._leave_server()
        return self._is_over()

    def _exchange(self, request, target, may_repeat=False):
        """The status of the response that was sent back; None if that is worth another try."""
        exchange = Exchange(self.near, self.far, request, target, self.toolbox)
        try:
            return exchange.run()
        except (h11.RemoteProtocolError, OSError) as error:
            self._leave_server()
            if exchange.was_answered:
                raise ConnectionAbortedError(f"{target}: {error}") from None
            if exchange.fault is not None:
                raise HTTPError(400, f"this is not HTTP: {exchange.fault}") from None
            if may_repeat and not isinstance(error, TimeoutError):
                return None
            status = 504 if isinstance(error, TimeoutError) else 502
            raise HTTPError(status, f"{target} did not answer: {error}") from None

    def _is_known(self, request):
        given = credentials_of(request.headers)
        return given is not None and self.users.know(*given)

    def _dial(self, target):
        try:
            return self.connect(target.host, target.port)
        except OSError as error:
            code = code_of(error)
            reason = f"{target} cannot be reached: {error.strerror or error}"
            raise HTTPError(_STATUS.get(code, 502), reason) from None

    def _tunnel(self, target):
        with self._dial(target) as onward:
            self.near.tell(
                h11.Response(status_code=200, headers=[], reason=b"Connection established")
            )
            self.note("200", target)
            self._join(onward, target)

    def _join(self, onward, target):
        """Have both talk, after what the client has said already."""
        onward.settimeout(self.silence)
        onward.sendall(self.near.rest)
        for sock in self.request, onward:
            sock.settimeout(None)
        self.note(self.relay(onward).reason, target)

    def _reach(self, target):
        """Be connected to a server; whether that was so before."""
        where = target.host, target.port
        if self.far is not None:
            if self.where == where and not self.far.rest and not _says_something(self.far.sock):
                return True
            self._leave_server()
        onward = self._dial(target)
        onward.settimeout(self.silence)
        self.far, self.where = Peer(onward, h11.CLIENT, self.lock, LONGEST_HEAD), where
        return False

    def _leave_server(self):
        if self.far is not None:
            self.far.sock.close()
            self.far = None

    def _is_over(self):
        """Be ready for another request; whether there may be one."""
        if self.near.is_ready_for_more():
            return True
        self.say_last(b"")
        return False

    def _refuse(self, error):
        """Tell the client why its request is not answered; whether there may be another one."""
        self.note(str(error.status), reason=error.reason)
        if self.near.http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.cut_off()
            return False
        text = f"{error.reason}\n".encode("ascii", "backslashreplace")
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
        if error.status == 407:
            headers.append(_LOG_IN)
        response = h11.Response(status_code=error.status, headers=headers)
        body = [] if self.wants_head else [h11.Data(data=text)]
        self.near.tell(response, *body, h11.EndOfMessage())
        return self._is_over()


def _says_something(sock):
    """Whether a server that was asked nothing has something to say: that it has left, mostly."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
