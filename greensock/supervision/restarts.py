"""How soon the next worker may come after one that has died."""

# Seconds a worker must have been ready for its death not to count as one of a row.
CALM = 0.1

FIRST = 0.1
LONGEST = 30.0


class Restarts:
    """The pauses of one slot: none at first, then longer ones while worker after worker dies."""

    def __init__(self):
        self._next = 0.0

    def pause_after(self, seconds_ready):
        """Seconds to wait after the death of a worker that was ready for so many seconds."""
        if seconds_ready >= CALM:
            self._next = 0.0
        pause = self._next
        self._next = min(LONGEST, max(FIRST, 2 * pause))
        return pause
