"""Workers are replaced one by one: nobody has to go before the next one is ready."""


class Replacing:
    """One round through the slots, each of which has a successor for its worker."""

    def __init__(self):
        self._to_come = []
        self._in_turn = None  # the slot and its worker

    @property
    def is_under_way(self):
        return self._in_turn is not None

    def begin(self, slots):
        """Replace everybody there, once more if that is under way."""
        self._to_come = [slot for slot in slots if slot.is_wanted]

    def go_on(self):
        """Have the next one replaced, if it is time."""
        if self._in_turn is not None:
            slot, worker = self._in_turn
            if slot.wants_successor:
                return
            if slot.is_wanted and slot.worker is worker:  # the next one did not get ready
                self._to_come.clear()
            self._in_turn = None
        while self._to_come and self._in_turn is None:
            slot = self._to_come.pop(0)
            if slot.is_wanted and slot.worker is not None:
                slot.wants_successor = True
                self._in_turn = slot, slot.worker
