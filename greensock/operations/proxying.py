"""Connections that proxies pass on: who the client really is."""

from math import inf
from time import monotonic
from typing import Any

from .. import events
from ..errors import ProxyHeaderError
from ..net import handover
from ..net.networks import Networks
from ..net.proxy_parser import load_library
from ..net.proxy_reader import await_beginning, read_header
from .admission import Admission
from .oversight import Oversight


class Proxying(Admission, Oversight):
    """Takes PROXY headers off; see IProxied."""

    proxy_protocol: str | None = None
    trusted_proxies: Any = ()

    _gs_proxies: tuple[Any, Networks] | None = None

    def _gs_check_proxying(self) -> None:
        """ValueError if nobody could be served; ImportError if no header could be read."""
        if self.proxy_protocol is None:
            return
        if self._gs_takes_datagrams():
            raise ValueError("proxy_protocol is set, but it is for connections, not for datagrams")
        if not self.trusted_proxies:
            raise ValueError(
                f"proxy_protocol is {self.proxy_protocol!r}, but trusted_proxies names nobody; "
                "give the networks that the proxies are in, such as ['10.0.0.0/8', '::1', 'unix:']"
            )
        load_library()

    def _gs_trusts(self, client_address: Any) -> bool:
        """Whether it may tell of clients."""
        trusted, known = self.trusted_proxies, self._gs_proxies
        if known is None or known[0] is not trusted:
            self._gs_proxies = known = trusted, Networks(trusted)
        return client_address in known[1]

    def _gs_awaits_header(self, client_address: Any) -> bool:
        return self.proxy_protocol is not None and self._gs_trusts(client_address)

    def _gs_may_shake_hands(self) -> bool:
        return self.proxy_protocol is not None or super()._gs_may_shake_hands()

    def _gs_take_header(self, job: Any) -> bool:
        """Take the header off; False if the connection has ended for want of a right one."""
        if isinstance(job.request, tuple):
            return True
        is_required = self.proxy_protocol == "required"
        try:
            if not self._gs_trusts(job.client_address):
                if not is_required:
                    return True
                raise ProxyHeaderError("trusted_proxies does not name this peer", "untrusted")
            self._gs_read_header(job, is_required)
        except (ProxyHeaderError, OSError) as error:
            reason = "late" if job.was_cut else getattr(error, "reason", "missing")
            self._gs_header_failed(job, reason, error)
        else:
            return self._gs_let_in(job)
        self._gs_end(job.request, job.client_address)
        return False

    def _gs_read_header(self, job: Any, is_required: bool) -> None:
        now = monotonic()
        try:
            # Who need not send one is not cut when late but served: no limit is to act meanwhile.
            job.handshake_since = now if is_required else inf
            if is_required or self._gs_header_begins(job.request):
                job.handshake_since = now
                job.note_proxy(*read_header(job.request))
        finally:
            if not job.was_cut:  # or else whoever looks on shall see in the midst of what it was
                job.working_since = monotonic()  # before anybody takes it for at work
                job.handshake_since = 0.0
        if job.was_cut:
            raise ConnectionAbortedError("the connection was cut")

    def _gs_header_begins(self, request: Any) -> bool:
        if handover.is_tls(request):
            return False  # an application's own get_request was faster
        sleep = self.toolbox.sleep  # type: ignore[attr-defined]  # of Serving
        return await_beginning(request, self.handshake_timeout, sleep)

    def _gs_header_failed(self, job: Any, reason: str, error: Exception) -> None:
        """Tell of it."""
        if job.reason is None:
            job.reason = "proxy_protocol"
        elif job.reason == "handshake_timeout":
            error = TimeoutError(f"no header within {self.handshake_timeout} s")
        events.emit(events.ProxyHeaderRefused, self, job.client_address, reason, error)

    def _gs_let_in(self, job: Any) -> bool:
        """Count it, now that it is known whose it is; False if it has ended as one too many."""
        limit = self.max_connections_per_peer
        if limit is None or self._gs_counts_in(job, limit):
            return True
        job.reason = job.reason or "max_connections_per_peer"
        self._gs_refuse(job.request, job.client_address, "max_connections_per_peer")
        return False

    def _gs_counts_in(self, job: Any, limit: int) -> bool:
        return self._gs_founded_peers().counts_in(job, limit, self._gs_connections)
