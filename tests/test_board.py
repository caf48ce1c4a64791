"""What processes note in the memory they share."""

import pytest

from greensock.net.children import Child
from greensock.supervision import board
from greensock.supervision.board import STATES, Board


def test_notes_are_those_that_were_written_last():
    card = Board().card()
    assert b"" == card.read()
    for notes in b"one", b"the second", b"", b"3":
        card.write(notes)
        assert notes == card.read()


def test_what_was_not_written_to_its_end_is_not_read():
    """As by a process that was killed in the midst of it."""
    card = Board().card()
    card.write(b"whole")
    with pytest.raises(TypeError):
        card.write("no bytes, and much longer")
    assert b"whole" == card.read()


def test_notes_that_were_written_over_while_they_were_read_are_read_again():
    page = Board().page(0)
    page.write(b"old")
    place, newer = page._place, [b"new", b"newer", b"newest"]

    def overtaken(version):
        while newer:
            page._place = place
            page.write(newer.pop(0))
            page._place = overtaken
        return place(version)

    page._place = overtaken
    assert b"newest" == page.read()


def test_too_many_notes_are_refused():
    card = Board().card()
    card.write(b"few")
    card.write(b"x" * 32_000)
    with pytest.raises(ValueError, match="32768 bytes of notes; there is room for 32732"):
        card.write(b"x" * 32_768)
    assert b"x" * 32_000 == card.read()


def test_the_next_owner_gets_a_clean_card(monkeypatch):
    monkeypatch.setattr(board, "CARDS", 1)
    small = Board()
    card = small.card()
    card.write(b"notes")
    card.beat()
    card.note_taken()
    assert (True, 1) == (card.beaten_at > 0.0, card.taken)
    small.take_back(card)
    card = small.card()
    assert (b"", 0.0, 0) == (card.read(), card.beaten_at, card.taken)


def test_there_are_so_many_cards():
    full = Board()
    cards = [full.card() for _ in range(board.CARDS)]
    with pytest.raises(OSError, match="there are 1024 processes already"):
        full.card()
    full.take_back(cards[3])
    assert cards[3].number == full.card().number


def test_cards_and_pages_are_apart():
    large = Board()
    written = [large.card(0), large.card(board.CARDS - 1), *map(large.page, (0, board.CARDS - 1))]
    for number, each in enumerate(written):
        each.write(b"%d" % number * 32_000)
    assert [b"0", b"1", b"2", b"3"] == [each.read()[:1] for each in written]
    assert "stopped" == large.state


def test_pages_are_counted_from_the_first():
    large = Board()
    large.page(7)
    assert 0 == large.pages
    for index, expected in (3, 4), (1, 4), (9, 10):
        large.open_page(index).write(b"%d" % index)
        assert expected == large.pages
    assert [b"", b"1", b"", b"3"] == [large.page(index).read() for index in range(4)]


def test_places_beyond_the_last_page_share_that():
    large = Board()
    large.open_page(5 * board.CARDS).write(b"far")
    assert (board.CARDS, b"far") == (large.pages, large.page(board.CARDS - 1).read())


def test_a_child_process_is_read_by_its_parent():
    shared = Board()
    card = shared.card()

    def work():
        card.write(b"from the child")
        shared.state = "draining"
        return 0

    child = Child()
    child.fork(work)
    assert child.wait(30)
    assert 0 == child.reap()
    assert (b"from the child", "draining") == (card.read(), shared.state)


@pytest.mark.parametrize("state", STATES)
def test_states(state):
    shared = Board()
    shared.state = state
    assert state == shared.state
