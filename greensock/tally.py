"""What happened in the servers of this process, counted.

Rule: whoever reads the counts never sees one go down.

Theory of operation. A Tally subscribes to events and adds up. The bytes of connections that are
open are not in any event; they are added when somebody asks, and counted for good when the
connection ends. A forked child has a copy, in which nothing is counted; that it failed, its parent
finds in the reason for which the connection has ended.
"""

import os
from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Any

from . import interfaces
from .counts import Counts, Numbers
from .net import native
from .observers import observe

# Upper bounds of a histogram, in seconds. One request takes milliseconds, a chat takes hours.
BOUNDS = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0, 3600.0)

# What is 0 from the first server on: what first turns up as 1 has not increased, to Prometheus.
_FROM_THE_START = (
    *("opened", "received", "sent", "failed", "handshakes_failed", "accepts_failed"),
    *("pauses", "drains"),
)

# What becomes known of a child when its connection has ended, by the reason of that.
_FAILURES = {
    "failed": "failed",
    "handshake": "handshakes_failed",
    "handshake_timeout": "handshakes_failed",
}


class Tally:
    """Counts from its making until ``close``. Any thread may use it, and signal handlers too."""

    def __init__(self) -> None:
        self._counts: Numbers = defaultdict(int)
        self._open: set[Any] = set()
        self._paused: set[int] = set()
        self._pid = os.getpid()
        self._guard = native.make_rlock()
        self.close = observe(
            {
                interfaces.IServerStarted: self._started,
                interfaces.IServerStopped: self._went_on,
                interfaces.IConnectionOpened: self._opened,
                interfaces.IConnectionClosed: self._closed,
                interfaces.IConnectionRefused: self._refused,
                interfaces.IRequestFailed: self._failed,
                interfaces.IHandshakeFailed: self._handshake_failed,
                interfaces.IAcceptFailed: lambda event: self._count("accepts_failed", event),
                interfaces.IAcceptPaused: self._has_paused,
                interfaces.IAcceptResumed: self._went_on,
                interfaces.IDrainStarted: lambda event: self._count("drains", event),
                interfaces.IDatagramTruncated: lambda event: self._count("truncated", event),
                interfaces.IDatagramsDropped: self._dropped,
            }
        )

    def counts(self) -> Counts:
        """What there is by now."""
        with self._guard:
            counts = self._counts.copy()
            connections = list(self._open)
        # There may be a hundred thousand, and a server is asked every second.
        sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for connection in connections:
            of_model = sums[connection.model]
            of_model[0] += 1
            of_model[1] += connection.received
            of_model[2] += connection.sent
        for model, (_, received, sent) in sums.items():
            counts["received", model] += received
            counts["sent", model] += sent
        return Counts(counts, Counter({model: number for model, (number, *_) in sums.items()}))

    def paused(self) -> int:
        """How many servers cannot accept for now."""
        return len(self._paused)

    def is_paused(self, server: Any) -> bool:
        """Whether this one cannot."""
        return id(server) in self._paused

    def _add(self, number: float, *key: str) -> None:
        if os.getpid() == self._pid:  # in a child, a thread that is not there may hold the guard
            with self._guard:
                self._counts[key] += number

    def _count(self, name: str, event: Any, *labels: str) -> None:
        self._add(1, name, event.server.model, *labels)

    def _started(self, event: Any) -> None:
        if os.getpid() != self._pid:
            # Not the child of a request but one that serves by itself, with counts of its own.
            self._pid = os.getpid()
            self._guard = native.make_rlock()
            self._counts, self._open, self._paused = defaultdict(int), set(), set()
        for name in _FROM_THE_START:
            self._add(0, name, event.server.model)

    def _opened(self, event: Any) -> None:
        self._count("opened", event)
        self._open.add(event.connection)

    def _closed(self, event: Any) -> None:
        if os.getpid() != self._pid:
            return
        connection, model = event.connection, event.server.model
        reason, seconds = str(connection.reason), connection.seconds
        with self._guard:
            self._open.discard(connection)
            counts = self._counts
            counts["received", model] += connection.received
            counts["sent", model] += connection.sent
            counts["closed", model, reason] += 1
            counts["seconds", model] += seconds
            counts["within", model, f"{bisect_left(BOUNDS, seconds):02}"] += 1
            if model == "fork" and reason in _FAILURES:
                counts[_FAILURES[reason], model] += 1

    def _refused(self, event: Any) -> None:
        self._count("refused", event, str(event.reason))

    def _failed(self, event: Any) -> None:
        self._count("failed", event)

    def _handshake_failed(self, event: Any) -> None:
        if event.server.model != "fork":
            self._count("handshakes_failed", event)

    def _has_paused(self, event: Any) -> None:
        self._count("pauses", event)
        self._paused.add(id(event.server))

    def _went_on(self, event: Any) -> None:
        self._paused.discard(id(event.server))

    def _dropped(self, event: Any) -> None:
        self._add(event.count, "dropped", event.server.model)
