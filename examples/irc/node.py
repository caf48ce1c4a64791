"""One process of the network at work: its pulse, and what it hears from others and tells them."""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from greensock.errors import BusClosed, BusError
from greensock.toolbox import between_threads

from .links import Link
from .network import Network, Settings

# Seconds.
PULSE = 1.0
PAUSE = 0.2

# Packets that wait to be heard. More are lost, and the network splits: it is some hundred MB.
MOST_WAITING = 100_000

# Packets that are heard in a row, before others of the hub have their turn.
IN_A_ROW = 10

logger = logging.getLogger("greensock.irc")


@contextmanager
def _going_on() -> Iterator[None]:
    """Whatever goes wrong is for the log: the others still have to be heard, or asked."""
    try:
        yield
    except Exception:
        logger.exception("the network goes on, but for this:")


class Node:
    """Has a ``network`` at work from ``begin`` to ``end``.

    ``toolbox``: the IToolbox of those who use it. ``bus``: the IBus that the other processes of the
    network have as well; None if there are none.
    """

    def __init__(self, name: str, settings: Settings, toolbox: Any, bus: Any = None) -> None:
        sid = f"0{secrets.token_hex(4)}"  # no client's nick begins with a digit
        self.network = Network(name, sid, settings, lock=toolbox.Lock())
        self._topic = f"irc/{settings.network}"
        self._toolbox = toolbox
        self._bus = bus
        self._subscription: Any = None
        self._is_over = between_threads().Event()
        self._call = toolbox.Event()  # there may be something to send
        self._tasks: list[Any] = []
        if bus is not None:
            self._link = self.network.others = Link(self.network, self._call.set, logger.warning)

    def begin(self) -> None:
        """Be at work, until ``end``. BusError if the bus cannot be reached."""
        spawn = self._toolbox.spawn
        if self._bus is not None:
            self._subscription = self._bus.subscribe(self._topic, maxsize=MOST_WAITING)
            with self.network.lock:
                self._link.begin()
            self._tasks += [spawn(self._hear), spawn(self._tell)]
        self._tasks.append(spawn(self._beat))

    def end(self) -> None:
        """Tell the others, work no more, and wait until that is so."""
        if self._bus is not None:
            with self.network.lock:
                self._link.leave()
            self._subscription.close()
        self._is_over.set()
        self._call.set()
        for task in self._tasks:
            task.join()

    def _beat(self) -> None:
        while not self._is_over.wait(PULSE):
            with _going_on():
                self.network.pulse()

    def _hear(self) -> None:
        for count, message in enumerate(self._subscription):
            if message.missed:
                logger.warning("%d packets of the network were missed", message.missed)
            with _going_on(), self.network.lock:
                self._link.hear(message.data)
            if count % IN_A_ROW == 0:
                self._toolbox.sleep(0)

    def _tell(self) -> None:
        while True:
            self._call.clear()
            while (packet := self._next()) is not None:
                self._publish(packet)
            if self._is_over.is_set():
                return
            self._call.wait()

    def _next(self) -> bytes | None:
        with self.network.lock:
            return self._link.take()

    def _publish(self, packet: bytes) -> None:
        while True:
            try:
                self._bus.publish(self._topic, packet)
                return
            except BusClosed:
                return
            except BusError:
                with self.network.lock:
                    if not self._link.servers:
                        self._link.forget()
                        return
            if self._is_over.wait(PAUSE):
                return
