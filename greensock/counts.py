"""Numbers with labels, as a Tally counts them: added up, sent elsewhere as JSON, and read.

Rule: a sum is never less than what went into it, and takes no more room than there is for it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

Numbers = defaultdict[tuple[str, ...], float]

# Whoever emits events chooses their reasons. These many, and so much of each, are told apart: a few
# times those that greensock has, and little enough to be noted by a worker every second.
MOST_REASONS = 50
LONGEST_REASON = 40


class Counts:
    """The numbers of one moment, by name and labels; every label is a string.

    ``active``: how many connections are open, by model.
    """

    def __init__(self, counts: Numbers, active: "Counter[str]") -> None:
        self._counts = counts
        self.active = active

    @classmethod
    def sum(cls, parts: "Iterable[Counts]") -> "Counts":
        """All of them together."""
        numbers: Numbers = defaultdict(int)
        active: Counter[str] = Counter()
        for part in parts:
            for key, number in part._counts.items():
                numbers[key] += number
            active.update(part.active)
        return cls(numbers, active)

    def of(self, name: str) -> Iterator[tuple[tuple[str, ...], float]]:
        """The (labels, number) pairs of a name, in order."""
        found = (key for key in self._counts if key[0] == name)
        return ((key[1:], self._counts[key]) for key in sorted(found))

    def total(self, name: str) -> float:
        """All that was counted under a name."""
        return sum(number for _, number in self.of(name))

    def add(self, number: float, *key: str) -> None:
        """Count ``number`` more under a name and labels."""
        self._counts[key] += number

    def as_json(self) -> dict[str, Any]:
        """What ``from_json`` makes counts of; of reasons beyond the most, one is made."""
        rows: Numbers = defaultdict(int)
        reasons = 0
        for key, number in self._counts.items():
            if key[0] in ("closed", "refused"):
                reasons += 1
                reason = key[-1][:LONGEST_REASON] if reasons <= MOST_REASONS else "other"
                key = (*key[:-1], reason)
            rows[key] += number
        return {"counts": [[*key, number] for key, number in rows.items()], "active": self.active}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Counts":
        """What was written by ``as_json``; nothing, of a dictionary without."""
        numbers: Numbers = defaultdict(int)
        for *key, number in data.get("counts", ()):
            numbers[tuple(key)] = number
        return cls(numbers, Counter(data.get("active", {})))
