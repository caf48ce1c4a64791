"""How many messages of a topic were missed, told by their numbers; without any I/O.

Redis counts the messages of each topic. What it has counted is lost with its memory, or when a
topic is forgotten, and then it begins anew. So each counting has a name that no other ever has, the
epoch, which comes with every number.
"""

from ..net.crossing import Event

# The epoch of a topic that nothing is counted of.
NEVER = b""


class Course:
    """The numbers of one topic, as they come to one process.

    ``number``: the last. ``settled``: an Event that is set when it is known where they stand.
    """

    __slots__ = ("topic", "settled", "number", "_epoch", "_is_sure")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.settled = Event()
        self._epoch: bytes | None = None
        self.number = 0
        self._is_sure = True

    @property
    def is_known(self) -> bool:
        """Whether it is known where its numbers stand, or stood before the connection was lost."""
        return self._epoch is not None

    def doubt(self) -> None:
        """The connection was lost: from now on, some may be missed."""
        self._is_sure = False

    def look(self, epoch: bytes, number: int) -> int:
        """At this moment Redis has counted so many. How many of them will never come?"""
        missed = 0 if self._epoch is None else self._missed(epoch, number)
        self._go_on_with(epoch, number)
        return missed

    def advance(self, epoch: bytes, number: int) -> int:
        """Here is a message. How many before it will never come?"""
        missed = self._missed(epoch, number - 1)
        self._go_on_with(epoch, number)
        return missed

    def _missed(self, epoch: bytes, number: int) -> int:
        if epoch == self._epoch and number >= self.number:
            return number - self.number
        if self._is_sure and epoch != self._epoch or self._epoch == NEVER:
            return number
        return max(1, number)  # of those there were before nobody knows

    def _go_on_with(self, epoch: bytes, number: int) -> None:
        self._epoch, self.number, self._is_sure = epoch, number, True
