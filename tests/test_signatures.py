"""Every name of ``socketserver`` is in greensock, with the same parameters and defaults."""

import inspect
import socket
import socketserver
from itertools import permutations

import pytest

import greensock

pytestmark = pytest.mark.worldless

NAMES = socketserver.__all__

# What Python 3.14 has and the oldest supported one has not: greensock has it everywhere.
NEWER = {
    "ForkingUnixStreamServer": {"max_children": 40, "timeout": 300, "block_on_close": True},
    "ForkingUnixDatagramServer": {"max_children": 40, "timeout": 300, "block_on_close": True},
    "TCPServer": {"allow_reuse_port": False},
    "UDPServer": {"allow_reuse_port": False},
}

# A longer queue, and no datagram cut.
DELIBERATE = {"request_queue_size": max(128, socket.SOMAXCONN), "max_packet_size": 65535}

SPECIAL = "__init__", "__enter__", "__exit__"


def attributes(name):
    """The (name, value) pairs that the class of the standard library shows to its users."""
    original = getattr(socketserver, name)
    return [
        (attribute, getattr(original, attribute))
        for attribute in dir(original)
        if not attribute.startswith("_") or attribute in SPECIAL
    ]


def parameters(function):
    """What a caller has to know of it."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return "unknown"
    return [(one.name, one.kind, one.default) for one in signature.parameters.values()]


METHODS = [(name, one) for name in NAMES for one, value in attributes(name) if callable(value)]
DATA = [
    (name, one, value)
    for name in NAMES
    for one, value in attributes(name)
    if not callable(value) and not isinstance(value, property)
]


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_method_has_the_same_parameters(name, method):
    original = getattr(getattr(socketserver, name), method)
    assert parameters(original) == parameters(getattr(getattr(greensock, name), method))


@pytest.mark.parametrize(("name", "attribute", "value"), DATA)
def test_class_attribute_has_the_same_default(name, attribute, value):
    expected = DELIBERATE.get(attribute, value)
    assert expected == getattr(getattr(greensock, name), attribute)


@pytest.mark.parametrize("name", NAMES)
def test_class_is_called_with_the_same_arguments(name):
    assert parameters(getattr(socketserver, name)) == parameters(getattr(greensock, name))


@pytest.mark.parametrize("name", NEWER)
def test_what_newer_pythons_add_is_there_on_every_one(name):
    for attribute, value in NEWER[name].items():
        assert value == getattr(getattr(greensock, name), attribute)


def test_every_public_name_is_public_here():
    assert {*NAMES, *NEWER} <= set(greensock.__all__)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("MixIn")])
def test_class_passes_for_what_it_replaces(name):
    """Whoever asks for the standard library's basic servers and handlers may be given ours."""
    basic = name.removeprefix("Threading").removeprefix("Forking")
    assert issubclass(getattr(greensock, name), getattr(socketserver, basic))


def test_classes_are_related_as_in_the_standard_library():
    related = [
        (child, parent)
        for child, parent in permutations(NAMES, 2)
        if issubclass(getattr(socketserver, child), getattr(socketserver, parent))
    ]
    assert ("ThreadingUDPServer", "TCPServer") in related
    for child, parent in related:
        assert issubclass(getattr(greensock, child), getattr(greensock, parent)), (child, parent)
