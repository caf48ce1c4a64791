"""Deadlines of greenlets and of threads."""

from time import monotonic

import gevent
import gevent.event
import pytest

from greensock.net import deadlines, native
from greensock.net.crossing import Event
from greensock.net.deadlines import GreenDeadline, deadline

LONG = 60
SHORT = 0.01


@pytest.fixture(params=[deadline, GreenDeadline])
def either(request):
    """A deadline of either kind; both limit the waits of an Event."""
    return request.param


def test_wait_past_the_deadline_raises(either):
    with pytest.raises(TimeoutError, match="the deadline has passed"), either(SHORT):
        Event().wait()


def test_wait_that_need_not_wait_ignores_a_deadline_that_has_passed(either):
    event = Event()
    event.set()
    with either(0):
        assert event.wait()


def test_every_further_wait_in_the_block_raises(either):
    """What catches one TimeoutError and goes on waiting has not got rid of the deadline."""
    with either(SHORT):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                Event().wait(LONG)


def test_deadline_counts_from_where_the_block_begins(either):
    """A hub that had no time to look at its clock does not make it shorter."""
    gevent.sleep(0)
    native.sleep(0.1)
    begin = monotonic()
    with pytest.raises(TimeoutError), either(0.05):
        Event().wait(LONG)
    assert 0.05 <= monotonic() - begin + 0.001


@pytest.mark.parametrize("seconds", [0, -1])
def test_deadline_may_have_passed_at_once(either, seconds):
    with pytest.raises(TimeoutError), either(seconds):
        Event().wait(LONG)


def test_none_is_no_limit(either):
    with either(None):
        assert not Event().wait(SHORT)


def test_nothing_is_limited_after_the_block(either):
    with either(SHORT):
        pass
    assert not Event().wait(2 * SHORT)


def test_nothing_is_limited_after_the_block_was_left_by_an_exception(either):
    with pytest.raises(ZeroDivisionError), either(SHORT):
        raise ZeroDivisionError
    assert not Event().wait(2 * SHORT)


@pytest.mark.parametrize(("outer", "inner"), [(LONG, SHORT), (SHORT, LONG), (SHORT, None)])
def test_nearest_of_nested_deadlines_counts(either, outer, inner):
    with either(outer), pytest.raises(TimeoutError), either(inner):
        Event().wait(LONG)


def test_outer_deadline_goes_on_after_the_inner_block(either):
    with either(5 * SHORT):
        with pytest.raises(TimeoutError), either(0):
            Event().wait(LONG)
        assert not Event().wait(SHORT)
        with pytest.raises(TimeoutError):
            Event().wait(LONG)


def test_deadline_is_its_greenlets_alone(either):
    """Others of the same thread wait as long as they like."""
    entered, over = gevent.event.Event(), gevent.event.Event()

    def hurry():
        with either(SHORT):
            entered.set()
            with pytest.raises(TimeoutError):
                Event().wait(LONG)
        over.set()

    hurried = gevent.spawn(hurry)
    assert entered.wait(LONG)
    unhurried = Event()
    hurried.link(lambda _: unhurried.set())
    assert unhurried.wait(LONG)
    assert over.is_set()
    hurried.get()


def test_green_deadline_reaches_every_cooperative_wait():
    forever = gevent.event.Event().wait, gevent.event.AsyncResult().get
    for wait in *forever, lambda: gevent.sleep(LONG):
        with pytest.raises(TimeoutError), GreenDeadline(SHORT):
            wait()


def test_remaining_is_what_is_left():
    assert deadlines.remaining() is None
    with deadline(LONG):
        assert LONG - 10 < deadlines.remaining() <= LONG
        assert SHORT == deadlines.nearest(SHORT)
        assert LONG - 10 < deadlines.nearest(2 * LONG) <= LONG
        assert LONG - 10 < deadlines.nearest(None) <= LONG
        deadlines.check()
    with deadline(-1):
        assert 0 == deadlines.remaining()
        with pytest.raises(TimeoutError):
            deadlines.check()
    assert deadlines.nearest(None) is None
    deadlines.check()
