"""A bus within one process."""

from typing import Any

from ..errors import BusClosed
from .base import BaseBus, checked_data, checked_topic


class LocalBus(BaseBus):
    """Carries messages between the threads and greenlets of this process; see IBus."""

    url = "local"

    def open(self) -> None:
        """Do nothing, unless it was closed: there is nothing to reach."""
        if self._fanout.is_closed:
            raise BusClosed("the bus was closed")

    def publish(self, topic: str, data: Any) -> None:
        """Give ``data`` to all who have subscribed to ``topic``; it waits for nobody."""
        checked_topic(topic)
        data = checked_data(data)
        self.open()
        self._deliver(topic, data)
