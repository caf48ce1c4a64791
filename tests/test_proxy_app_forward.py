"""Forwarding by the proxy application, with both sides by hand."""

import socket
from contextlib import ExitStack

import pytest

from examples.proxy.checks import Checks
from examples.proxy.forward import Forward
from examples.proxy.upstreams import FINISHED, REACHED, Upstreams
from greensock import ProxyHeader
from tests.helpers import rest, wait_until
from tests.proxies import accepted, asking, counted, exactly, listening, proxying, reset

models = pytest.mark.parametrize("model", ["greenlet", "thread"])
TRUSTING = {"proxy_protocol": "required", "trusted_proxies": ["127.0.0.1"]}


class Forwarding:
    """A server that forwards to some listeners; ``news``: what is told of them."""

    def __init__(self, model, *listeners, settings=None, eject_after=3, **facts):
        self._proxying = proxying(Forward, model, settings, **facts)
        self._eject_after = eject_after
        self._addresses = [listener.getsockname()[:2] for listener in listeners]
        self.news = []

    def __enter__(self):
        self.server = server = self._proxying.__enter__()
        self.upstreams = server.RequestHandlerClass.upstreams = Upstreams(
            self._addresses, server.toolbox.Lock(), self._eject_after, self._note
        )
        self.all = self.upstreams.all
        return self

    def __exit__(self, *error):
        return self._proxying.__exit__(*error)

    def _note(self, upstream, state):
        self.news.append((upstream.address, state))

    def numbers(self, name):
        return [getattr(each, name) for each in self.all]


def nobody():
    """An address at which nobody listens."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


@models
def test_the_upstream_with_the_fewest_connections_is_taken(model):
    """And what goes through is counted."""
    with listening() as one, listening() as other, Forwarding(model, one, other) as on:
        with asking(on.server, b"1") as first, accepted(one) as onward:
            assert b"1" == exactly(onward, 1)
            with asking(on.server, b"2") as second, accepted(other) as busy:
                assert b"2" == exactly(busy, 1)
                assert [1, 1] == on.numbers("active")
                second.shutdown(socket.SHUT_WR)
                assert b"" == rest(busy)
                busy.sendall(b"answer")
                busy.shutdown(socket.SHUT_WR)
                assert b"answer" == rest(second)
            wait_until(lambda: [1, 0] == on.numbers("active"))
            with asking(on.server, b"3"), accepted(other) as again:
                assert b"3" == exactly(again, 1)
            first.shutdown(socket.SHUT_WR)
        wait_until(lambda: [0, 0] == on.numbers("active"))
        assert ([1, 2], [1, 2], [0, 6]) == (
            on.numbers("taken"), on.numbers("sent"), on.numbers("received")
        )


@models
def test_who_does_not_answer_is_passed_over_and_ejected(model):
    with nobody() as none, listening() as one, Forwarding(model, none, one) as on:
        for _ in range(4):
            with asking(on.server, b"x"), accepted(one) as onward:
                assert b"x" == exactly(onward, 1)
        wait_until(lambda: [0, 0] == on.numbers("active"))
        assert {REACHED: 3} == on.all[0].failures and not on.all[1].failures
        assert [(none.getsockname(), "ejected")] == on.news


@models
def test_if_none_is_left_the_client_is_told_by_a_reset(model):
    with nobody() as none, Forwarding(model, none) as on:
        with pytest.raises(ConnectionResetError):
            with asking(on.server) as client:
                client.recv(1)
        wait_until(lambda: {"no upstream": 1, "not reached": 1} == counted(on.server))


@models
def test_an_upstream_that_dies_is_noticed(model):
    """Its clients are reset, too. If clients vanish, that is no fault of the upstream's."""
    with listening() as one, Forwarding(model, one, one, eject_after=2) as on:
        on.all[1].active = 9  # so that it is never its turn
        for _ in range(2):
            with asking(on.server) as client, accepted(one) as onward:
                onward.sendall(b"half")
                assert b"half" == exactly(client, 4)
                reset(client)
                with pytest.raises(ConnectionResetError):
                    rest(onward)
        for _ in range(2):
            with asking(on.server) as client, accepted(one) as onward:
                onward.sendall(b"half")
                assert b"half" == exactly(client, 4)
                reset(onward)
                with pytest.raises(ConnectionResetError):
                    rest(client)
        wait_until(lambda: on.news)
        assert [(one.getsockname(), "ejected")] == on.news
        assert {FINISHED: 2} == on.all[0].failures


@models
@pytest.mark.parametrize("version", [None, 1, 2])
def test_upstreams_are_told_who_the_client_is(model, version):
    with listening() as one, Forwarding(model, one, send_proxy=version) as on:
        with asking(on.server, b"x") as client, accepted(one) as onward:
            source, destination = client.getsockname(), on.server.server_address
            header = ProxyHeader(source, destination, version=version) if version else b""
            expected = bytes(header) + b"x"
            assert expected == exactly(onward, len(expected))


@models
def test_a_client_behind_two_proxies_is_not_lost_sight_of(model):
    header = ProxyHeader(("192.0.2.1", 1), ("198.51.100.1", 443), version=1)
    with listening() as one, Forwarding(model, one, settings=TRUSTING, send_proxy=2) as on:
        with asking(on.server, bytes(header) + b"x"), accepted(one) as onward:
            expected = bytes(ProxyHeader(header.source, header.destination)) + b"x"
            assert expected == exactly(onward, len(expected))


@models
def test_of_a_client_without_an_address_nothing_is_told(model):
    header = ProxyHeader("/run/a", "/run/b")
    with listening() as one, Forwarding(model, one, settings=TRUSTING, send_proxy=1) as on:
        with asking(on.server, bytes(header)), accepted(one) as onward:
            assert b"PROXY UNKNOWN\r\n" == exactly(onward, 15)


@models
@pytest.mark.parametrize("path", [None, "/health"])
def test_checks_find_out_how_upstreams_are(model, path):
    """Also with nobody to forward for, as long as one is down; and not when all are well."""
    with listening() as one, Forwarding(model, one) as on:
        toolbox = on.server.toolbox
        checks = Checks(on.upstreams, toolbox, 0.01, timeout=1, path=path, send_proxy=2)
        checks.start()
        assert not any(used.is_set() for used in checks._used)
        on.server.RequestHandlerClass.checks = checks
        try:
            address = one.getsockname()
            with asking(on.server, b"x"):
                with ExitStack() as stack:
                    while stack.enter_context(accepted(one)).recv(1) != b"x":
                        pass  # checks come as well, in any order
                    one.close()
                    wait_until(lambda: on.news)
            assert [(address, "down")] == on.news
            with listening(*address) as again:
                answer(again, path)
                wait_until(lambda: len(on.news) > 1)
            assert (address, "up") == on.news[1]
        finally:
            checks.end()


def answer(listener, path):
    check, _ = listener.accept()
    with check:
        head = bytes(ProxyHeader(None, None, is_local=True))
        head += path and b"GET /health HTTP/1.0\r\n" or b""
        assert head == exactly(check, len(head))
        if path:
            check.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@pytest.mark.parametrize("line", [b"HTTP/1.1 503 Busy", b"", b"SSH-2.0-x", b"HTTP/1.1 2"])
def test_a_check_wants_an_answer_that_is_none_of_failure(line):
    with listening() as one, Forwarding("greenlet", one) as on:
        checks = Checks(on.upstreams, on.server.toolbox, 10, path="/")
        checks.start()
        checks.note_use()
        with accepted(one) as check:
            assert exactly(check, 5) == b"GET /"
            check.sendall(line)
            check.shutdown(socket.SHUT_WR)
            wait_until(lambda: on.all[0].bad_checks)
        checks.end()
