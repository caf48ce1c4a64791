"""Which upstream of the proxy application is next, and which is left out."""

import threading
from contextlib import ExitStack

import pytest

from examples.proxy.upstreams import FINISHED, REACHED, NoUpstream, Upstreams

pytestmark = pytest.mark.worldless


class Scene(Upstreams):
    """Some upstreams, called a, b, c, and a clock that is set by hand."""

    def __init__(self, names="abc", **how):
        self.now, self.news = 0.0, []
        super().__init__(
            [(name, 1) for name in names],
            threading.Lock(),
            clock=lambda: self.now,
            changed=lambda upstream, state: self.news.append((upstream.address[0], state)),
            **how,
        )
        self.by_name = dict(zip(names, self.all))

    def next(self, but=""):
        with self.take([self.by_name[name] for name in but]) as upstream:
            return upstream.address[0]

    def fail(self, name, what=REACHED, times=1):
        for _ in range(times):
            self.note_failure(self.by_name[name], what)

    def succeed(self, name, what=REACHED):
        self.note_success(self.by_name[name], what)

    def check(self, name, is_well):
        self.note_check(self.by_name[name], is_well)


def test_the_one_with_the_fewest_connections_is_next():
    scene = Scene()
    with ExitStack() as stack:
        first = [stack.enter_context(scene.take()).address[0] for _ in range(3)]
        assert ["a", "b", "c"] == sorted(first)
        with scene.take():
            pass
        scene.by_name["b"].active = 0
        assert "b" == scene.next()
        assert ["b", "b"] == [scene.next(), scene.next()]


def test_of_several_such_the_one_that_has_waited_longest_is_next():
    scene = Scene()
    assert ["a", "b", "c", "a"] == [scene.next() for _ in range(4)]


def test_who_was_tried_is_not_tried_again():
    scene = Scene()
    assert "c" == scene.next(but="ab")
    with pytest.raises(NoUpstream, match="no upstream is left to try: a:1 is up, b:1 is up"):
        scene.next(but="abc")


def test_who_fails_in_a_row_is_ejected_and_longer_each_time():
    scene = Scene("ab")
    scene.fail("a", times=2)
    scene.succeed("a")
    scene.fail("a", times=2)
    assert [] == scene.news
    scene.fail("a")
    assert [("a", "ejected")] == scene.news
    assert {"b"} == {scene.next() for _ in range(4)}
    pause = 1.0
    for _ in range(10):
        scene.now += pause - 0.01
        assert {"b"} == {scene.next() for _ in range(3)}
        scene.now += 0.01
        with ExitStack() as busy:
            busy.enter_context(scene.take(but=[scene.by_name["a"]]))
            assert "a" == scene.next()  # it is tried out by one, while the others stay away
        assert {"b"} == {scene.next() for _ in range(3)}
        scene.fail("a")
        pause = min(60.0, 2 * pause)
    scene.now += pause
    scene.by_name["b"].active = 1
    assert "a" == scene.next()
    scene.succeed("a")
    assert ["a", "a"] == [scene.next(), scene.next()]
    assert [("a", "ejected"), ("a", "up")] == scene.news


def test_to_be_reached_does_not_mend_what_breaks_off():
    scene = Scene("ab")
    for _ in range(3):
        scene.succeed("a", REACHED)
        scene.fail("a", FINISHED)
    scene.succeed("a", REACHED)
    assert "b" == scene.next() == scene.next()
    scene.succeed("a", FINISHED)
    assert [("a", "ejected"), ("a", "up")] == scene.news


def test_many_that_break_off_at_once_are_one_failure():
    scene = Scene("ab")
    scene.fail("a", FINISHED, times=100)
    scene.now += 1.0
    scene.by_name["b"].active = 1
    assert "a" == scene.next()


def test_the_last_in_service_is_not_ejected_for_what_it_breaks_off():
    """A client can have it do that, by what it sends, and would take the place from all others."""
    scene = Scene("ab")
    scene.fail("a", FINISHED, times=3)
    scene.fail("b", FINISHED, times=100)
    assert "b" == scene.next()
    assert [("a", "ejected")] == scene.news
    scene.fail("b", REACHED, times=3)
    with pytest.raises(NoUpstream):
        scene.next()


def test_none_is_ejected_if_that_is_not_wanted():
    scene = Scene("a", eject_after=None)
    scene.fail("a", times=100)
    assert "a" == scene.next()


def test_checks_take_one_out_and_bring_it_back():
    """At once, though it had been ejected."""
    scene = Scene("ab")
    scene.check("a", False)
    assert [] == scene.news
    scene.check("a", False)
    scene.fail("a", times=3)
    assert "b" == scene.next() == scene.next()
    scene.check("b", False)
    scene.check("b", False)
    with pytest.raises(NoUpstream, match="a:1 is down, b:1 is down"):
        scene.next()
    scene.check("a", True)
    assert "a" == scene.next()
    assert ("a", "up") == scene.news[-1]


def test_they_are_in_use_while_there_is_anything_to_find_out():
    scene = Scene("ab")
    assert not scene.are_in_use()
    with scene.take():
        assert scene.are_in_use()
    scene.fail("a", times=3)
    assert scene.are_in_use()


def test_an_ipv6_address_is_shown_in_brackets():
    assert "[::1]:80" == Upstreams([("::1", 80)], threading.Lock()).all[0].name
