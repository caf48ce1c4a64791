"""Who is to be asked, or shown out, after having been silent for too long.

Theory of operation. Each limit is the same for all, so whoever has waited longest comes first: a
pulse looks at the heads of the queues only, and a client that is silent costs nothing in between.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any


class Waiting:
    """Those who have been silent since a certain moment, the longest first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: OrderedDict[Any, float] = OrderedDict()

    def begin(self, session: Any, now: float) -> None:
        """From now on."""
        self._since[session] = now
        self._since.move_to_end(session)

    def end(self, session: Any) -> None:
        """It is not silent any more, or has gone."""
        self._since.pop(session, None)

    def __len__(self) -> int:
        return len(self._since)

    def due(self, now: float) -> Iterator[Any]:
        """Those whose time is over; they wait no longer."""
        while self._since:
            session, since = next(iter(self._since.items()))
            if now - since < self._seconds:
                return
            del self._since[session]
            yield session


class Clocks:
    """All who wait for something. ``newcomers``: those who have not registered.

    ``throttled``: those whose lines wait for their turn.
    """

    def __init__(self, settings: Any) -> None:
        self.newcomers = Waiting(settings.patience)
        self._quiet = Waiting(settings.quiet)
        self._asked = Waiting(settings.answer)
        self._silence = settings.quiet + settings.answer
        self.throttled: set[Any] = set()

    def note_newcomer(self, session: Any, now: float) -> None:
        """Somebody has come, and has to register in time."""
        self.newcomers.begin(session, now)

    def note_registered(self, session: Any, now: float) -> None:
        """And has done so."""
        self.newcomers.end(session)
        self._quiet.begin(session, now)

    def note_heard(self, session: Any, now: float) -> None:
        """Somebody who has registered said something."""
        self._asked.end(session)
        self._quiet.begin(session, now)

    def forget(self, session: Any) -> None:
        """Somebody has gone."""
        for waiting in self.newcomers, self._quiet, self._asked:
            waiting.end(session)
        self.throttled.discard(session)

    def pulse(self, now: float) -> None:
        """Do what is due."""
        for session in list(self.throttled):
            session.go_on(now)
        for session in self.newcomers.due(now):
            session.close("Registration timed out")
        for session in self._asked.due(now):
            session.close(f"Ping timeout: {self._silence:g} seconds")
        for session in self._quiet.due(now):
            session.ask()
            self._asked.begin(session, now)
