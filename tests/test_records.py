"""Frozen objects with fields: how they are made, and when they are equal."""

import copy
import pickle
from typing import Any

import pytest

from greensock.records import Record, Value

pytestmark = pytest.mark.worldless


class Point(Value):
    x: int
    y: int = 0


class Place(Point):
    name: Any = None


@pytest.mark.parametrize("place", [Place(1, 0, "a"), Place(1, name="a"), Place(name="a", x=1)])
def test_fields_are_given_in_order_or_by_name(place):
    assert ("x", "y", "name") == Place.__match_args__
    assert Place(1, 0, "a") == place == copy.copy(place) == pickle.loads(pickle.dumps(place))
    assert hash(Place(1, 0, "a")) == hash(place)
    assert "Place(x=1, y=0, name='a')" == repr(place)


@pytest.mark.parametrize("values, named", [((), {}), ((1, 2, 3, 4), {}), ((1,), {"x": 1}),
                                           ((1,), {"z": 1}), ((1, 2, 3), {"x": 1})])
def test_each_field_is_given_once(values, named):
    with pytest.raises(TypeError, match="^Place has the fields x, y, name; give each of them once"):
        Place(*values, **named)


def test_it_cannot_be_changed():
    point = Point(1)
    with pytest.raises(AttributeError, match="^a Point cannot be changed; make another one$"):
        point.x = 2
    with pytest.raises(AttributeError):
        del point.x
    assert 1 == point.x


def test_whatever_is_not_of_its_class_is_not_equal():
    assert Point(1) != Place(1) and Point(1) != (1, 0) and Point(1) != Point(2)


def test_without_a_value_it_is_equal_to_itself_alone():
    class Event(Record):
        what: str

    event = Event("it")
    assert event == event and event != Event("it")
