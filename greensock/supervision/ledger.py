"""The numbers of all workers of a team: of those that are at work, and of those that have ended.

Rule: whoever reads them counts no worker twice and leaves none out, whatever ends meanwhile.

Theory of operation. A worker notes its numbers on its card, with its serial number. Once it has
ended, however that was, the supervisor adds what it has noted last to the page of its place, where
it says as well who has not ended yet. Only then may its card be somebody else's. Who reads takes
the cards first and the pages after that: a worker whose card he came too late for is on the page,
and whoever is on the page is left out of the cards.
"""

import json
from ..counts import Counts
from ..records import Record

# Reasons that are there from the start: what first turns up as 1 has not increased, to Prometheus.
_RESTARTS = {"died": 0, "hung": 0}


class Place(Record):
    """What has been counted in one place, by whoever worked there.

    ``notes``: those of the workers that are there; see Counting. ``restarts``: how many had to be
    replaced, by reason.
    """

    index: int
    counts: Counts
    restarts: dict
    notes: list

    @property
    def paused(self):
        """How many servers of its workers cannot accept for now."""
        return sum(each["paused"] for each in self.notes)


class Ledger:
    """What is kept on the pages of ``board``. The supervisor alone writes it."""

    def __init__(self, board):
        self._board = board

    def settle(self, index, serial, notes, others, reason):
        """Add the last ``notes``, bytes, of a worker that has ended.

        ``others``: the serials of those who are still at work there. ``reason``: why it has to be
        replaced, None if it has not.
        """
        page = self._board.open_page(index)
        account = _read(page)
        if reason is not None:
            restarts = account["restarts"]
            restarts[reason] = restarts.get(reason, 0) + 1
        if notes:
            counts = Counts.from_json(json.loads(notes))
            for model, number in counts.active.items():
                counts.add(number, "closed", model, "lost")  # with the process
            counts.active.clear()
            account |= Counts.sum([Counts.from_json(account), counts]).as_json()
        account["next"] = max(account["next"], serial + 1, *(each + 1 for each in others))
        account["others"] = others
        page.write(as_bytes(account))

    def read(self, cards):
        """The places that anything is known of, as a list of Place, in order.

        ``cards``: those that somebody may have who is at work, once or more often.
        """
        noted = {}
        for card in cards:
            if notes := card.read():
                one = json.loads(notes)
                noted[one["serial"]] = one
        by_index: dict[int, list] = {}
        for _, one in sorted(noted.items()):
            by_index.setdefault(one["index"], []).append(one)
        indexes = by_index.keys() | range(self._board.pages)
        return [self._place(index, by_index.get(index, [])) for index in sorted(indexes)]

    def _place(self, index, notes):
        account = _read(self._board.page(index))
        left = [one for one in notes if not _is_settled(account, one["serial"])]
        counts = Counts.sum(map(Counts.from_json, [account, *left]))
        return Place(index, counts, account["restarts"], left)


def _read(page):
    notes = page.read()
    if not notes:
        return {"next": 0, "others": [], "restarts": dict(_RESTARTS)}
    return json.loads(notes)


def _is_settled(account, serial):
    return serial < account["next"] and serial not in account["others"]


def as_bytes(value):
    """``value`` as what is written on cards and pages."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
