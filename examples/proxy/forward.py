"""Forwarding to several upstreams, over TCP."""

import errno

from greensock import ProxyHeader

from .handling import ProxyHandler, keep_alive, was_reset
from .upstreams import FINISHED, REACHED, NoUpstream

# What is wanting here, and no fault of an upstream's.
_OUR_OWN = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


class Forward(ProxyHandler):
    """Forwards to one of ``upstreams``. Where they are is no business of ``rules``.

    ``send_proxy``: the version of the PROXY header that tells them whose connection it is, None for
    none. ``checks`` looks after them, unless it is None.
    """

    mode = "forward"
    upstreams = None
    checks = None
    send_proxy = None

    def serve(self):
        tried = []
        while True:
            try:
                with self.upstreams.take(tried) as upstream:
                    if self.checks is not None:
                        self.checks.note_use()
                    if self._forward(upstream):
                        return
            except NoUpstream as error:
                self.note("no upstream", reason=error)
                self.cut_off()
                return
            tried.append(upstream)

    def _forward(self, upstream):
        """Forward to this one; whether it could be reached."""
        try:
            onward = self.toolbox.connect(upstream.address, self.connect_timeout)
        except OSError as error:
            if error.errno in _OUR_OWN:
                raise
            self.upstreams.note_failure(upstream, REACHED)
            self.note("not reached", upstream.name, error)
            return False
        self.upstreams.note_success(upstream, REACHED)
        with onward:
            keep_alive(onward)
            onward.sendall(self._header())
            relayed = self.relay(onward)
            self.upstreams.note_bytes(upstream, relayed.forth, relayed.back)
            if relayed.reason == "reset" and was_reset(onward):
                self.upstreams.note_failure(upstream, FINISHED)
                self.note("broken off", upstream.name, relayed.error)
            else:
                self.upstreams.note_success(upstream, FINISHED)
                self.note(relayed.reason, upstream.name)
        return True

    def _header(self):
        if self.send_proxy is None:
            return b""
        source, told = self.client_address, self.proxy_header
        destination = told and told.destination or self.request.getsockname()
        if not isinstance(source, tuple) or not isinstance(destination, tuple):
            source = destination = None  # a Unix socket has no address that would tell anything
        return bytes(ProxyHeader(source, destination, version=self.send_proxy))
