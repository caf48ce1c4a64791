"""What a running server is told and asked by those who look after it.

The settings, the books of its connections, and the orders: suspend, resume, drain, kick and reload.
See ``greensock.interfaces`` for what they promise. The state they keep has defaults on the classes,
as all that Serving keeps.
"""

from typing import Any

from ..net import handover
from ..settings import check_setting, check_settings, is_property, is_setting
from ..steps import STEPS
from ..net.proxy_parser import load_library
from .draining import Draining
from .messaging import Messaging
from .proxying import Proxying


class Operations(Proxying, Draining, Messaging):
    """The settings of a server, and the orders it takes."""

    _gs_own_steps = STEPS

    def __setattr__(self, name: str, value: Any) -> None:
        if not is_setting(self, name):
            super().__setattr__(name, value)
            if name in STEPS:
                self._gs_own_steps = STEPS
            return
        if not is_property(self, name):
            self._gs_prepare_setting(name, value)
        super().__setattr__(name, value)
        if name == "max_connections_per_peer" and self._gs_peers is not None:
            self._gs_peers.forget_to_count()
        loop = self._gs_loop
        if loop is not None:
            loop.room_was_made()
        if self._gs_warden is not None:
            self._gs_warden.wake()

    def _gs_prepare_setting(self, name: str, value: Any) -> None:
        check_setting(name, value)
        if name == "ssl_context":
            self._gs_context = self._gs_made_context(value)
            self._gs_context_from = value
        if name == "proxy_protocol" and value is not None:
            load_library()

    def _gs_check_settings(self) -> None:
        """ValueError for one that is wrong, before anything is opened."""
        check_settings(self)
        self._gs_check_proxying()
        self._gs_loaded_context()
        self._gs_check_bus()
        if handover.is_tls(getattr(self, "socket", None)):
            handover.load_tls()
