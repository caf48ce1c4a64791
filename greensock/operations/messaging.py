"""The bus of a server, which its handlers reach as ``self.server.bus``."""

from typing import Any

from .. import bus as buses
from ..callables import found_in
from .books import Books, founding


class _Bus:
    """The attribute ``bus``: set to a URL, it is the bus there.

    An application may have something of its own of that name; it stays what it is.
    """

    def __get__(self, server: Any, cls: type | None = None) -> Any:
        return self if server is None else server._gs_have_bus()

    def __set__(self, server: Any, value: Any) -> None:
        if value is None or isinstance(value, str):
            buses.check_url(value)
        server._gs_bus_setting = value
        server._gs_bus = None


class Messaging(Books):
    """Has a bus in each process that uses it."""

    bus: Any = _Bus()

    _gs_bus_setting: Any = None
    _gs_bus: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found = found_in(cls, "bus")
        if found is None or isinstance(found, str):
            buses.check_url(found)
            cls._gs_bus_setting = found
            cls.bus = Messaging.__dict__["bus"]

    def _gs_have_bus(self) -> Any:
        if self._gs_bus is not None:
            return self._gs_bus
        setting = self._gs_bus_setting
        if setting is not None and not isinstance(setting, str):
            return setting
        with founding:
            if self._gs_bus is None:
                self._gs_bus = buses.new_bus(setting)
            return self._gs_bus

    def _gs_check_bus(self) -> None:
        """ValueError or ImportError if there can be no such bus. Nothing is opened."""
        if isinstance(self._gs_bus_setting, str):
            self._gs_have_bus()

    def _gs_open_bus(self) -> None:
        """BusError if it cannot be reached."""
        if isinstance(self._gs_bus_setting, str):
            self._gs_have_bus().open()

    def _gs_close_bus(self) -> None:
        """What was made here is closed here."""
        if self._gs_bus is not None:
            self._gs_bus.close()
