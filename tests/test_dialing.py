"""Connecting to a host that has several addresses, some of which lead nowhere."""

import errno
import socket
from contextlib import ExitStack, contextmanager
from time import monotonic

import gevent.socket
import pytest

from greensock.net import dialing, native
from tests.helpers import LOCAL, PATIENCE, Call, descriptors

KINDS = {
    "greenlet": (dialing.dial, gevent.socket, "getaddrinfo"),
    "thread": (dialing.dial_natively, dialing, "_getaddrinfo"),
}


@pytest.fixture(params=KINDS)
def dial(request, monkeypatch):
    """A function that dials those addresses, and closes what it gets; its peer's address."""
    function, module, name = KINDS[request.param]

    def dial(*addresses, allow=None):
        known = [
            (family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses
        ]
        monkeypatch.setattr(module, name, lambda *query: known)
        before = descriptors()

        def connect():
            with function(("name", 1), allow) as sock:
                return sock.getpeername()

        try:
            return Call(request.param, connect).end()
        finally:
            assert descriptors() <= before

    return dial


@contextmanager
def listening(host="127.0.0.1"):
    with native.Socket() as sock:
        sock.bind((host, 0))
        sock.listen()
        yield sock.getsockname()


@contextmanager
def silent():
    """The address of somebody who never answers: of a full queue."""
    with native.Socket() as full, ExitStack() as clients:
        full.bind(LOCAL)
        full.listen(0)
        for _ in range(3):
            client = clients.enter_context(native.Socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        yield full.getsockname()


@contextmanager
def refusing():
    with native.Socket() as sock:
        sock.bind(LOCAL)
        yield sock.getsockname()


def test_the_first_that_answers_is_taken(dial):
    with listening() as first, listening() as second:
        assert first == dial((socket.AF_INET, first), (socket.AF_INET, second))


def test_one_that_is_silent_does_not_keep_the_next_one_waiting_long(dial):
    with silent() as nobody, listening() as somebody:
        begin = monotonic()
        assert somebody == dial((socket.AF_INET, nobody), (socket.AF_INET, somebody))
        assert dialing.DELAY <= monotonic() - begin < PATIENCE


def test_after_one_that_refuses_comes_the_next_one_at_once(dial, monkeypatch):
    monkeypatch.setattr(dialing, "DELAY", 10 * PATIENCE)
    with refusing() as nobody, listening() as somebody:
        addresses = [(socket.AF_INET, nobody)] * 3 + [(socket.AF_INET, somebody)]
        assert somebody == dial(*addresses)


def test_one_that_is_slow_is_taken_if_the_others_fail(dial, monkeypatch):
    """It is not given up when the next one is tried."""
    monkeypatch.setattr(dialing, "DELAY", 0.0)
    with listening() as somebody, refusing() as nobody:
        assert somebody == dial((socket.AF_INET, somebody), (socket.AF_INET, nobody))


def test_families_take_turns(dial, monkeypatch):
    tried = []

    class Attempts(dialing._Attempts):
        def begin(self, family, proto, place):
            tried.append(place)
            self.failure = self.failure or OSError(errno.ENETUNREACH, "")

    monkeypatch.setattr(dialing, "_Attempts", Attempts)
    six, four = socket.AF_INET6, socket.AF_INET
    with pytest.raises(OSError):
        dial((six, "a"), (six, "b"), (six, "c"), (four, "d"), (four, "e"))
    assert ["a", "d", "b", "e", "c"] == tried


def test_if_nobody_answers_the_first_error_is_told(dial):
    with refusing() as nobody:
        with pytest.raises(ConnectionRefusedError):
            dial((socket.AF_INET, nobody), (socket.AF_INET, ("127.0.0.1", 0)))


def test_a_family_that_the_system_has_not_is_passed_over(dial):
    with listening() as somebody:
        assert somebody == dial((99, None), (socket.AF_INET, somebody))
    with pytest.raises(OSError) as caught:
        dial((99, None))
    assert errno.EAFNOSUPPORT == caught.value.errno


def test_an_address_that_is_not_allowed_is_never_tried(dial):
    """The next one is, and who asks sees the addresses themselves, never the name."""
    asked = []

    def allow(address):
        asked.append(address)
        return address != first

    with listening() as first, listening() as second:
        four = socket.AF_INET
        assert second == dial((four, first), (four, second), allow=allow)
        assert [first, second] == asked
        with pytest.raises(PermissionError, match="no address of name"):
            dial((four, first), allow=allow)


def test_what_is_wrong_with_those_that_are_allowed_is_told_first(dial):
    with refusing() as nobody, listening() as forbidden:
        with pytest.raises(ConnectionRefusedError):
            dial(
                (socket.AF_INET, forbidden),
                (socket.AF_INET, nobody),
                allow=lambda address: address != forbidden,
            )


@pytest.mark.parametrize("function", [kind[0] for kind in KINDS.values()], ids=KINDS)
def test_what_can_be_no_name_is_an_error_of_looking_it_up(function):
    """As is a name that nobody has."""
    with pytest.raises(socket.gaierror, match="no name"):
        function((64 * "x" + ".example", 1))
