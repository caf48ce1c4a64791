"""Connections to publish through: at most so many, and whoever finds none free waits for one."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import BusClosed, BusError
from ..net.waking import Condition
from .places import Place


class Pool:
    """The connections of one process to one place. They are used by one caller at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._changed = Condition()
        self._free: deque[Any] = deque()
        self._all: set[Any] = set()
        self._is_closed = False

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection for the block; if that raises it is closed.

        BusError if there is none to be had, BusClosed after ``close``.
        """
        connection = self._take()
        try:
            if connection._sock is not None and not connection._sock.is_quiet():
                connection.disconnect()  # Redis has closed it meanwhile
            connection.connect()
            yield connection
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close those that are free, and the others when they are."""
        with self._changed:
            self._is_closed = True
            free = list(self._free)
            self._free.clear()
            self._changed.notify_all()
        for connection in free:
            connection.disconnect()

    def abandon(self) -> None:
        """Close their descriptors in a forked child; no lock is taken."""
        for connection in list(self._all):
            wire, connection._sock = connection._sock, None
            if wire is not None:
                wire.abandon()

    def _take(self) -> Any:
        with self._changed:
            self._changed.wait_for(self._has_room, self._place.patience)
            if self._is_closed:
                raise BusClosed("the bus was closed")
            if self._free:
                return self._free.pop()
            if len(self._all) < self._place.most:
                connection = self._place.connection()
                self._all.add(connection)
                return connection
        raise BusError(
            f"none of {self._place.most} connections to {self._place.shown} came free within "
            f"{self._place.patience:g} s"
        )

    def _has_room(self) -> bool:
        return bool(self._free) or len(self._all) < self._place.most or self._is_closed

    def _give_back(self, connection: Any) -> None:
        with self._changed:
            if self._is_closed or connection._sock is None:
                self._all.discard(connection)
            else:
                self._free.append(connection)
            self._changed.notify()
        if self._is_closed:
            connection.disconnect()
