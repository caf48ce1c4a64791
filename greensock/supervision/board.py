"""Memory that a supervisor shares with everybody it has forked, for what is noted all the time.

Rule: each number has one writer, and who reads it never waits for that.

Theory of operation. The board is made before the first process is forked, so that all have it, and
is much larger than it need be: of memory that nobody has written to the system keeps none. Each
worker has a card on it, which its next owner gets clean.
"""

import mmap
import struct
from time import monotonic

CARDS = 1024
_SIZE = 1 << 16
_NOTES = 64  # where they begin: after the numbers
_HALF = (_SIZE - _NOTES) // 2

_LENGTH = struct.Struct("=I")


class Card:
    """What one worker notes.

    ``beaten_at``: when its hub turned last, in monotonic seconds, 0.0 before it has. ``taken``: how
    many connections it has taken from its hatch. ``live``: how many it has.
    """

    def __init__(self, memory, number):
        self.number = number
        self._memory = memory[number * _SIZE:(number + 1) * _SIZE]
        self._numbers = self._memory[:_NOTES].cast("d")

    @property
    def beaten_at(self):
        return self._numbers[0]

    @property
    def taken(self):
        return int(self._numbers[1])

    @property
    def live(self):
        return int(self._numbers[3])

    def beat(self):
        """Note that the hub turns."""
        self._numbers[0] = monotonic()

    def note_taken(self):
        """Note that it has taken one connection more."""
        self._numbers[1] += 1

    def note_live(self, number):
        """Note that it has so many."""
        self._numbers[3] = number

    def write(self, notes):
        """Replace the notes, bytes; ValueError if there are too many of them.

        They are written where nobody reads, and then it is said that they are there.
        """
        if len(notes) > _HALF - _LENGTH.size:
            room = _HALF - _LENGTH.size
            raise ValueError(f"{len(notes)} bytes of notes; there is room for {room}")
        version = int(self._numbers[2]) + 1
        place = self._place(version)
        _LENGTH.pack_into(self._memory, place, len(notes))
        place += _LENGTH.size
        self._memory[place:place + len(notes)] = notes
        self._numbers[2] = version

    def read(self):
        """The last notes, b'' if there are none."""
        while version := self._numbers[2]:
            place = self._place(int(version))
            (length,) = _LENGTH.unpack_from(self._memory, place)
            place += _LENGTH.size
            notes = bytes(self._memory[place:place + length])
            if self._numbers[2] == version:
                return notes  # they were not written over meanwhile
        return b""

    def _place(self, version):
        return _NOTES + version % 2 * _HALF

    def clean(self):
        """Make it as it was before anybody had it."""
        for place in range(len(self._numbers)):
            self._numbers[place] = 0.0


class Board:
    """The cards, of which the supervisor deals out those that are free."""

    def __init__(self):
        self._memory = memoryview(mmap.mmap(-1, CARDS * _SIZE))
        self._free = list(range(CARDS))

    def card(self, number=None):
        """A card that is free, clean; or the one with a number, whoever has it.

        OSError if none is free.
        """
        if number is not None:
            return Card(self._memory, number)
        if not self._free:
            raise OSError(f"there are {CARDS} processes already, which is the most")
        card = Card(self._memory, self._free.pop(0))
        card.clean()
        return card

    def take_back(self, card):
        """A card is free again."""
        self._free.append(card.number)
