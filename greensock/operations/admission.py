"""Who gets in, and whether anybody does."""

import socket
from contextlib import suppress
from typing import Any

from .. import events
from ..net import handover, native
from ..net.admission import Bucket
from ..net.guards import make_guard
from ..net.listeners import let_rebind
from ..net.unixpaths import UnixPath
from .certificates import Certificates


# Held while a listener is released or opened again.
_turning = make_guard()


class Admission(Certificates):
    """Keeps to the limits of IAdmission."""

    max_connections: int | None = None
    accept_rate: float | None = None
    accept_burst: int | None = None
    overload: str = "backlog"
    overload_reply: bytes = b""

    _gs_bucket: Bucket | None = None
    _gs_suspended: str | None = None

    def suspend(self, release: bool = False) -> None:
        """Take no more, until ``resume``; see IAdmission."""
        if release and not hasattr(self, "socket"):
            raise TypeError(f"{self!r} has no socket to release; call suspend() without it")
        with _turning:
            self._gs_suspended = "release" if release else self._gs_suspended or "keep"
        loop = self._gs_loop
        if loop is not None:
            loop.suspend(wait=not self._gs_is_in_the_way(loop))
        else:
            self._gs_release_if_asked()

    def resume(self) -> None:
        """Go on taking; see IAdmission."""
        with _turning:
            if self._gs_suspended == "release" and self.fileno() < 0 and not self._gs_is_draining:
                self._gs_open_listener()
            self._gs_suspended = None
        loop = self._gs_loop
        if loop is not None:
            loop.ring()

    def _gs_forget_suspension(self) -> None:
        """The server ends; ``resume`` must not open it again."""
        with _turning:
            self._gs_suspended = None

    def _gs_release_if_asked(self) -> None:
        """Close the listener, unless ``resume`` was faster."""
        with _turning:
            if self._gs_suspended == "release":
                self._gs_release_listener()

    def _gs_release_listener(self) -> None:
        """Close the listener, and nothing else."""
        self.socket.close()

    def _gs_open_listener(self) -> None:
        """Listen again where the listener was that is closed."""
        old, address = self.socket, self.server_address
        self.socket = native.Socket(self.address_family, self.socket_type)
        try:
            let_rebind(self.socket)
            self._gs_clear_path()
            self.server_bind()
            self.server_activate()
            self.socket.settimeout(old.gettimeout())
            if handover.is_tls(old):
                self.socket = handover.listening_alike(self.socket, old)
        except BaseException:
            self.socket.close()
            self.socket, self.server_address = old, address
            raise

    def _gs_clear_path(self) -> None:
        """Remove what the standard library has left of the listener that was released."""
        if self.address_family == getattr(socket, "AF_UNIX", None):
            with native.Socket(self.address_family, self.socket_type) as scratch:
                if path := UnixPath.bind(scratch, self.server_address):
                    path.remove()

    def _gs_is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        most = self.max_connections
        if most is None or self._gs_takes_datagrams():
            return False
        return self._gs_crew is not None and len(self._gs_crew) >= most

    def _gs_has_room(self) -> bool:
        """Whether one more request may be taken; whoever makes room rings the loop."""
        return not self._gs_is_full()

    def _gs_refuse(self, request: Any, client_address: Any, reason: str) -> None:
        """Turn away a connection that was accepted."""
        if reply := self._gs_refusal():
            handover.send_once(request, reply)
        events.emit(events.ConnectionRefused, self, client_address, reason)
        self._gs_end(request, client_address)

    def _gs_end(self, request: Any, client_address: Any) -> None:
        """Shut a request down. If that raises, it is reported, and the request closed."""
        try:
            self.shutdown_request(request)
        except Exception as error:
            events.emit(events.RequestFailed, self, client_address, error)
            with suppress(Exception):
                self.close_request(request)

    def _gs_refusal(self) -> bytes:
        """What those hear who are turned away."""
        if self.overload != "reject" or self._gs_speaks_tls():
            return b""
        return bytes(self.overload_reply)
