"""What is said of a channel at two servers at the same moment.

Theory of operation. All servers hear all packets in the same order, their own as well, which is the
order that counts. But what is said at a server holds there at once, before anything that others
have said and that it has not heard yet. So whoever hears something of a channel of which own words
are still under way says these again to itself when they come back: then the last word is the same
everywhere. Nothing is said twice as long as nobody contradicts.
"""

from collections import Counter, deque
from collections.abc import Iterator

from .names import fold
from .wire import Message

# What two servers can say so that it depends on who was last. Each has the channel first.
CONTESTED = frozenset(["JOIN", "PART", "KICK", "MODE", "TOPIC"])


class Contested:
    """Own words that are under way."""

    def __init__(self) -> None:
        self._sent: deque[tuple[int, list[Message]]] = deque()
        self._under_way: Counter[str] = Counter()
        self._contradicted: set[str] = set()

    def note_said(self, message: Message) -> None:
        """Something was said here, and holds."""
        if message.command in CONTESTED:
            self._under_way[fold(message.params[0])] += 1

    def note_sent(self, number: int, messages: list[Message]) -> None:
        """It goes out, in the packet of that number."""
        words = [message for message in messages if message.command in CONTESTED]
        if words:
            self._sent.append((number, words))

    def note_heard(self, message: Message) -> None:
        """Another server has said something, and it was applied."""
        if message.command in CONTESTED and message.params:
            name = fold(message.params[0])
            if name in self._under_way:
                self._contradicted.add(name)

    def come_back(self, number: int) -> Iterator[Message]:
        """The own packet of that number was heard: what is to be applied again."""
        while self._sent and self._sent[0][0] <= number:
            sent, words = self._sent.popleft()
            for message in words:
                name = fold(message.params[0])
                if sent == number and name in self._contradicted:
                    yield message
                self._settle(name)

    def _settle(self, name: str) -> None:
        self._under_way[name] -= 1
        if self._under_way[name] <= 0:
            del self._under_way[name]
            self._contradicted.discard(name)

    def forget(self) -> None:
        """Nothing is under way any more."""
        self._sent.clear()
        self._under_way.clear()
        self._contradicted.clear()
