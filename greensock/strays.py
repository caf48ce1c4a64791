"""Connections that an application's own ``process_request`` has brought where their handlers run.

Many a server overrides ``process_request`` to have threads of its own, or a pool of them, call
``finish_request`` or ``process_request_thread``. No model has made such a connection what its
handler needs there, nor taken it into the books, so this is done when it arrives.
"""

import socketserver
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from gevent._hub_local import get_hub_if_exists
from gevent.hub import GreenletExit

from .net import handover, native
from .net.bounded import BoundedSocket
from .net.connections import Connection
from .net.meters import NOBODY
from .net.sockets import CooperativeSocket
from .requests import Requests

# What the accept loop makes of a connection; whatever is of another kind is the application's.
OURS = frozenset((native.Socket, BoundedSocket, CooperativeSocket))


class Stray(Connection):
    """A connection that came by the application's own way."""

    __slots__ = ()


class Strays(Requests):
    """Takes them in."""

    _gs_takes_in = True

    def _gs_process(self, request: Any, client_address: Any) -> None:
        if type(request) in OURS and self._gs_leads_elsewhere():
            self.process_request(request, client_address)
        else:
            super()._gs_process(request, client_address)

    def _gs_leads_elsewhere(self) -> bool:
        """Whether only the application knows where a connection will be handled."""
        # With a finish_request of its own, too, nobody knows whether it will come by here.
        return self._gs_has_own("process_request") and not self._gs_has_own("finish_request")

    def _gs_has_own(self, hook: str) -> bool:
        own = _has_own(type(self), hook)  # type: ignore[arg-type]  # classes are hashable
        return own or hook in vars(self)

    def _gs_is_astray(self, request: Any) -> bool:
        """Whether it is in no books, or another thread's; for connections of OURS."""
        if getattr(request, "meter", NOBODY) is not NOBODY and not _is_elsewheres(request):
            return False
        return self._gs_takes_in and request is not getattr(self, "socket", None)

    def _gs_take_in(
        self, request: Any, client_address: Any, finish: Callable[[Any, Any], object], ends: bool
    ) -> None:
        """Have ``finish(request, client_address)`` called with what the connection is made.

        ``ends``: whether that ends the request. If not, what has taken its place is ended here, and
        the request itself is the caller's to end.
        """
        found, worker = request, self._gs_me()
        if _is_elsewheres(found):
            # Nobody has waited on it yet, so that its hub has nothing of it.
            found, worker = handover.blocking(handover.portable(found)), None
        job = Stray(found, client_address, self.model, self)
        job.worker = worker
        self._gs_join_crew(job)
        left = request
        try:
            if self._gs_enter(job):
                if ends:
                    left = job.request
                finish(job.request, job.client_address)
        except GreenletExit:
            self._gs_note_failure(job)
            if not job.was_cut:
                raise
        except BaseException:
            self._gs_note_failure(job)
            raise
        finally:
            if job.request is not left:
                self._gs_finish_switched(job)
            self._gs_leave_crew(job)


def _is_elsewheres(request: Any) -> bool:
    return type(request) is CooperativeSocket and request.hub is not get_hub_if_exists()


@lru_cache
def _has_own(cls: type, hook: str) -> bool:
    """Whether an application, or the standard library, has a ``hook`` of its own there."""
    owner = next(base for base in cls.__mro__ if hook in vars(base))
    is_ours = owner.__module__.partition(".")[0] == "greensock"
    return not is_ours and owner is not socketserver.BaseServer
