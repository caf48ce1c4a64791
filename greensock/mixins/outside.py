"""What threads and processes have in common: their workers run on no hub of the accept loop's."""

from typing import Any

from ..net import handover, native
from ..net.bounded import BoundedSocket
from ..net.shortage import check_descriptors
from ..toolbox import between_threads
from .base import ModelMixIn


class OutsideMixIn(ModelMixIn):
    """A model whose workers are not greenlets of the serving thread."""

    _gs_works_on_hub = False

    @property
    def _gs_connection_kind(self):
        return native.Socket if native.is_patched() else BoundedSocket

    @property
    def toolbox(self) -> Any:
        """The tools that are right in a worker, which differ under monkey patching."""
        return between_threads()

    def _gs_intake(self, overridden):
        """Take no request before there are descriptors for its worker, too."""
        get_request, dispatch = super()._gs_intake(overridden)
        own = 0 if self._gs_takes_datagrams() else 1

        def get():
            of_worker = self._gs_descriptors_of_worker()
            if of_worker:
                check_descriptors(of_worker + own)
            return get_request()

        return get, dispatch

    def _gs_descriptors_of_worker(self):
        """How many the next worker takes before it begins."""
        return 0

    def _gs_receive(self, request):
        """Make it portable; the worker will make it what it needs."""
        if isinstance(request, tuple):
            if type(getattr(self, "socket", None)) is native.Socket:
                return request
            return self._gs_with_view(request, handover.blocking_view)
        if request is getattr(self, "socket", None):
            return request
        return handover.portable(request)

    def _gs_settled(self, request):
        if isinstance(request, tuple) or request is getattr(self, "socket", None):
            return request
        return handover.cooperative(request) if native.is_patched() else handover.blocking(request)

    def _gs_shares_socket_with_handlers(self):
        return False
