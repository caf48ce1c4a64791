"""One process of the network at work: its pulse, and what it hears from others and tells them."""

import logging
import secrets
from typing import Any

from greensock.toolbox import between_threads

from .network import Network, Settings

PULSE = 1.0  # seconds

logger = logging.getLogger("greensock.irc")


class Node:
    """Has a ``network`` for the time between ``begin`` and ``end``.

    ``toolbox``: the IToolbox of those who use it.
    """

    def __init__(self, name: str, settings: Settings, toolbox: Any) -> None:
        sid = f"0{secrets.token_hex(4)}"  # no nick begins with a digit
        self.network = Network(name, sid, settings, lock=toolbox.Lock())
        self._toolbox = toolbox
        self._is_over = between_threads().Event()
        self._tasks: list[Any] = []

    def begin(self) -> None:
        """Be at work, until ``end``."""
        self._tasks.append(self._toolbox.spawn(self._beat))

    def end(self) -> None:
        """Work no more, and wait until that is so."""
        self._is_over.set()
        for task in self._tasks:
            task.join()

    def _beat(self) -> None:
        while not self._is_over.wait(PULSE):
            self.network.pulse()
