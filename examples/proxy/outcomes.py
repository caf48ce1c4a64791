"""What has become of connections and requests, counted."""

from collections import Counter


class Outcomes:
    """How often what has happened, by mode and outcome. ``lock``: for all who count."""

    def __init__(self, lock):
        self._counts = Counter()
        self._lock = lock

    def note(self, mode, outcome):
        with self._lock:
            self._counts[mode, outcome] += 1

    def counts(self):
        """Pairs of mode and outcome, and how often."""
        with self._lock:
            return sorted(self._counts.items())
