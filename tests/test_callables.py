"""What can be called how: found out as ``inspect`` would, and for what is plain without it."""

import functools
import http.server
import inspect
import socketserver

import pytest

from greensock.callables import is_plain_class, only_begins, takes

pytestmark = pytest.mark.worldless


def wrapped(*args):
    pass


wrapped.__wrapped__ = lambda one: None  # type: ignore[attr-defined]


def signed():
    pass


signed.__signature__ = inspect.signature(lambda one, two: None)  # type: ignore[attr-defined]


class Plain:
    def __init__(self, one, two=2):
        pass


class Signed(Plain):
    __signature__ = inspect.signature(lambda: None)


class Meta(type):
    def __call__(cls, one):
        pass


class Made(Plain, metaclass=Meta):
    pass


class New(Plain):
    def __new__(cls, *args):
        return super().__new__(cls)


CALLABLES = [
    lambda: None,
    lambda one, two: None,
    lambda one, two=2: None,
    lambda one, /, two, *, three=3: None,
    lambda one, *, two: None,
    lambda *args: None,
    lambda one, two, *args, **kwargs: None,
    wrapped,
    signed,
    Plain,
    Signed,
    Made,
    New,
    object,
    socketserver.StreamRequestHandler,
    http.server.SimpleHTTPRequestHandler,
    functools.partial(lambda one, two: None, 1),
    Plain(1).__init__,  # type: ignore[misc]
    len,
]


@pytest.mark.parametrize("function", CALLABLES)
@pytest.mark.parametrize("count", range(5))
def test_what_it_takes_is_what_inspect_says(function, count):
    try:
        inspect.signature(function).bind(*range(count))
        expected = True
    except TypeError:
        expected = False
    assert expected == takes(function, count)


def test_what_does_not_tell_takes_anything():
    assert takes(dict.pop, 3) == takes(type, 9) is True


async def begun():
    pass


async def begun_and_iterated():
    yield


def iterated():
    yield


@pytest.mark.parametrize("function", [begun, begun_and_iterated, iterated])
def test_what_only_begins(function):
    assert only_begins(function)
    assert only_begins(functools.partial(function))


@pytest.mark.parametrize("function", [None, Plain, len, signed, begun.__call__, print])
def test_what_does_all(function):
    assert not only_begins(function)


def test_plain_classes():
    assert [True, True, False, False] == [is_plain_class(cls) for cls in (Plain, Signed, Made, New)]
    assert not is_plain_class(len)
