"""Memory that a supervisor shares with everybody it has forked, for what is noted all the time.

Rule: each number has one writer, and who reads it never waits for that.

Theory of operation. The board is made before the first process is forked, so that all have it, and
is much larger than it need be: of memory that nobody has written to the system keeps none. Each
worker has a card on it, which its next owner gets clean. For each place there is a page, on which
the supervisor keeps what those have noted who worked there and have ended.
"""

import mmap
import struct
from time import monotonic

CARDS = 1024
_SIZE = 1 << 16
_NOTES = 64  # where they begin: after the numbers
_HALF = (_SIZE - _NOTES) // 2

_LENGTH = struct.Struct("=I")


STATES = ("stopped", "serving", "suspended", "about to end", "draining")


class Page:
    """Notes of one writer, as bytes. Whoever reads them gets all that were written at once."""

    def __init__(self, memory, number):
        self.number = number
        begin = number * _SIZE
        self._memory = memory[begin:begin + _SIZE]
        self._numbers = self._memory[:_NOTES].cast("d")

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
        begin = place + _LENGTH.size
        self._memory[begin:begin + len(notes)] = notes
        self._numbers[2] = version

    def read(self):
        """The last notes, b'' if there are none."""
        while version := self._numbers[2]:
            place = self._place(int(version))
            (length,) = _LENGTH.unpack_from(self._memory, place)
            begin = place + _LENGTH.size
            notes = bytes(self._memory[begin:begin + length])
            if self._numbers[2] == version:
                return notes  # they were not written over meanwhile
        return b""

    def _place(self, version):
        return _NOTES + version % 2 * _HALF

    def clean(self):
        """Make it as it was before anybody had it."""
        for place in range(len(self._numbers)):
            self._numbers[place] = 0.0


class Card(Page):
    """What one worker notes.

    ``beaten_at``: when its hub turned last, in monotonic seconds, 0.0 before it has. ``taken``: how
    many connections it has taken from its hatch. ``live``: how many requests it is at work on.
    """

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
        """Note that it is at work on so many."""
        self._numbers[3] = number


class Board:
    """The cards, of which the supervisor deals out those that are free, and the pages.

    ``state``: what the supervisor is about, one of STATES, for it to set. ``pages``: how many have
    been asked for, counted from the first.
    """

    def __init__(self):
        self._memory = memoryview(mmap.mmap(-1, 2 * CARDS * _SIZE + _NOTES))
        self._numbers = self._memory[-_NOTES:].cast("d")
        self._free = list(range(CARDS))

    @property
    def state(self):
        return STATES[int(self._numbers[0])]

    @state.setter
    def state(self, state):
        self._numbers[0] = STATES.index(state)

    @property
    def pages(self):
        return int(self._numbers[1])

    def page(self, index):
        """The page of a place."""
        return Page(self._memory, CARDS + min(index, CARDS - 1))

    def open_page(self, index):
        """The page of a place, for its writer."""
        self._numbers[1] = max(self.pages, min(index, CARDS - 1) + 1)
        return self.page(index)

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
