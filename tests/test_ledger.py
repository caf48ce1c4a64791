"""The numbers of all workers, whoever reads them while one ends."""

from collections import Counter, defaultdict

import pytest

from greensock.counts import Counts
from greensock.supervision.board import Board
from greensock.supervision.ledger import Ledger, as_bytes


class Team:
    """Workers of one place each, and who notes what."""

    def __init__(self):
        self.board = Board()
        self.ledger = Ledger(self.board)

    def worker(self, serial, index=0):
        card = self.board.card()
        card.serial, card.index = serial, index
        return card

    def note(self, card, opened, active=0):
        numbers = defaultdict(int, {("opened", "greenlet"): opened})
        counts = Counts(numbers, Counter({"greenlet": active}))
        head = {"serial": card.serial, "index": card.index, "paused": active}
        card.write(as_bytes(head | counts.as_json()))

    def settle(self, card, others=(), reason=None):
        others = [other.serial for other in others]
        self.ledger.settle(card.index, card.serial, card.read(), others, reason)

    def opened(self, cards):
        return {place.index: place.counts.total("opened") for place in self.ledger.read(cards)}


@pytest.fixture
def team():
    return Team()


def test_those_at_work_are_counted(team):
    cards = [team.worker(serial, index) for serial, index in enumerate([0, 0, 2])]
    for opened, card in enumerate(cards, 1):
        team.note(card, opened, active=opened)
    first, second = team.ledger.read(cards)
    assert {0: 3, 2: 3} == team.opened(cards)
    assert ([0, 1], 3, {"greenlet": 3}) == (
        [notes["serial"] for notes in first.notes],
        first.paused,
        first.counts.active,
    )
    assert ([2], 3) == ([notes["serial"] for notes in second.notes], second.paused)


def test_one_that_has_noted_nothing_yet_counts_for_nothing(team):
    assert {} == team.opened([team.worker(0)])


def test_a_card_that_is_read_twice_is_counted_once(team):
    card = team.worker(0)
    team.note(card, 5)
    assert {0: 5} == team.opened([card, team.board.card(card.number)])


def test_those_that_have_ended_stay_counted(team):
    for serial in range(3):
        card = team.worker(serial)
        team.note(card, 5)
        team.settle(card)
        team.board.take_back(card)
    assert {0: 15} == team.opened([])


def test_one_that_has_ended_is_counted_once_although_its_card_is_there_still(team):
    card, other = team.worker(0), team.worker(1)
    team.note(card, 5)
    team.note(other, 7)
    team.settle(card, [other])
    assert {0: 12} == team.opened([card, other])


def test_an_older_one_that_is_still_at_work_is_counted(team):
    """As one that drains for hours while its successors come and go."""
    oldest, others = team.worker(0), [team.worker(serial) for serial in (1, 2, 3)]
    team.note(oldest, 1)
    for each in others:
        team.note(each, 10)
        team.settle(each, [oldest])
    assert {0: 31} == team.opened([oldest, *others])
    team.note(oldest, 2)
    team.settle(oldest)
    assert {0: 32} == team.opened([oldest, *others])


def test_one_that_ends_while_somebody_reads_is_counted_once(team):
    card = team.worker(0)
    team.note(card, 5)

    def cards():
        yield card
        team.settle(card)
        yield card

    assert {0: 5} == team.opened(cards())


def test_one_whose_card_is_somebody_elses_by_then_is_not_missed(team):
    card = team.worker(0)
    team.note(card, 5)

    def cards():
        team.settle(card)
        card.clean()
        yield card

    assert {0: 5} == team.opened(cards())


def test_connections_of_one_that_was_killed_are_lost(team):
    card = team.worker(0)
    team.note(card, opened=5, active=2)
    team.settle(card, reason="died")
    (place,) = team.ledger.read([])
    assert [(("greenlet", "lost"), 2)] == [*place.counts.of("closed")]
    assert (0, {}, []) == (place.paused, place.counts.active, place.notes)


def test_restarts_are_counted_by_reason(team):
    """Those that shall not happen from the start; and of one that came to nothing, too."""
    for serial, reason in enumerate(["died", "died", "replaced", None]):
        team.settle(team.worker(serial, index=1), reason=reason)
    first, second = team.ledger.read([])
    assert {"died": 0, "hung": 0} == first.restarts
    assert {"died": 2, "hung": 0, "replaced": 1} == second.restarts
