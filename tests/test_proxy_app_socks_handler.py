"""SOCKS 5 through the proxy application, with both sides by hand."""

import socket
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address

import pytest

from examples.proxy.rules import Networks, Rules
from examples.proxy.socks import Reply
from examples.proxy.socks_handler import Socks
from examples.proxy.users import parse_users
from tests.helpers import PATIENCE, forks_beside_threads, has_ipv6, rest, wait_until
from tests.proxies import accepted, asking, counted, exactly, listening, proxying, reset
from tests.test_proxy_app_socks import BY_PASSWORD, FREE, spelled

pytestmark = forks_beside_threads

every_model = pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])
models = pytest.mark.parametrize("model", ["greenlet", "thread"])
SHORT = 0.1


@contextmanager
def through(server, listener, host=None, said=b""):
    """Both ends of a connection through the proxy."""
    name, port = listener.getsockname()[:2]
    with asking(server, FREE + spelled(host or ip_address(name), port) + said) as client:
        with accepted(listener) as onward:
            assert b"\5\0" == exactly(client, 2)
            start = exactly(client, 4)
            assert b"\5\0\0" == start[:3]
            exactly(client, {1: 6, 4: 18}[start[3]])
            yield client, onward


def answer_to(server, host, port, command=1):
    with asking(server, FREE + spelled(host, port, command)) as client:
        answer = rest(client)
    assert b"\5\0" == answer[:2] and 12 == len(answer)
    return answer[3]


@every_model
def test_clients_are_connected_to_addresses_and_names(model):
    """Data that does not wait for the answer arrives, and half-closed connections stay so."""
    hosts = ["127.0.0.1"] + (["::1"] if has_ipv6() else [])
    with proxying(Socks, model) as server:
        for place, host in [(host, None) for host in hosts] + [("127.0.0.1", "localhost")]:
            with listening(place) as listener:
                with through(server, listener, host, b"early ") as (client, onward):
                    client.sendall(b"and more")
                    client.shutdown(socket.SHUT_WR)
                    assert b"early and more" == rest(onward)
                    onward.sendall(b"answer")
                    onward.shutdown(socket.SHUT_WR)
                    assert b"answer" == rest(client)


@models
def test_the_answer_says_why_there_is_no_connection(model):
    with proxying(Socks, model) as server, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        assert Reply.REFUSED == answer_to(server, ip_address("127.0.0.1"), port)
        assert Reply.NOT_ALLOWED == answer_to(server, ip_address("169.254.1.1"), 80)
        assert Reply.HOST_UNREACHABLE == answer_to(server, 64 * "x", 80)
        assert Reply.COMMAND_UNKNOWN == answer_to(server, "localhost", 80, command=2)
        assert Reply.COMMAND_UNKNOWN == answer_to(server, "localhost", 80, command=3)
        wait_until(lambda: 5 == sum(counted(server).values()))
        assert {"refused", "not allowed", "host unreachable", "command unknown"} == set(
            counted(server)
        )


@models
def test_a_silent_server_is_given_up(model):
    with proxying(Socks, model, connect_timeout=SHORT) as server, ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        host, port = full.getsockname()
        assert Reply.EXPIRED == answer_to(server, ip_address(host), port)


def test_names_that_lead_to_where_nobody_may_go_do_not_lead_there():
    """The address is judged, and nobody connects."""
    with listening() as listener, proxying(Socks, rules=Rules()) as server:
        port = listener.getsockname()[1]
        for host in "localhost", "127.1", "2130706433", "0":
            assert Reply.NOT_ALLOWED == answer_to(server, host, port)
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


def login(word):
    return b"\1\4name" + bytes([len(word)]) + word


@every_model
def test_who_must_log_in_does(model):
    users = parse_users("name:word\n")
    with listening() as listener, proxying(Socks, model, users=users) as server:
        request = spelled("localhost", listener.getsockname()[1])
        with asking(server, BY_PASSWORD + login(b"word") + request + b"hello") as client:
            with accepted(listener) as onward:
                assert b"\5\2\1\0\5\0" == exactly(client, 6)
                assert b"hello" == exactly(onward, 5)
        with asking(server, BY_PASSWORD + login(b"wrong") + request) as client:
            assert b"\5\2\1\1" == rest(client)
        with asking(server, FREE + request) as client:
            assert b"\5\xff" == rest(client)


def test_only_clients_from_some_networks_are_served():
    with proxying(Socks, clients=Networks([])) as server, pytest.raises(ConnectionResetError):
        with asking(server) as client:
            client.recv(1)


@every_model
def test_a_server_that_dies_is_not_taken_for_one_that_has_finished(model):
    with proxying(Socks, model) as server, listening() as listener:
        with through(server, listener) as (client, onward):
            onward.sendall(b"half")
            assert b"half" == exactly(client, 4)
            reset(onward)
            with pytest.raises(ConnectionResetError):
                client.recv(1)


@models
@pytest.mark.parametrize(
    "said", [b"", FREE[:1], FREE, FREE + b"\5\1", BY_PASSWORD, BY_PASSWORD + login(b"word")[:3]]
)
def test_who_says_too_little_is_cut(model, said):
    users = parse_users("name:word") if b"\2" in said else None
    with proxying(Socks, model, users=users, patience=SHORT) as server:
        with asking(server, said) as client:
            with pytest.raises(ConnectionResetError):
                rest(client)
        wait_until(lambda: {"timed out": 1} == counted(server))


@models
@pytest.mark.parametrize("said", [b"", FREE, FREE + b"\5\1", FREE + spelled("localhost", 1)[:-1]])
def test_who_vanishes_is_no_trouble(model, said):
    with proxying(Socks, model) as server:
        with asking(server, said) as client:
            if len(said) >= len(FREE):
                assert b"\5\0" == exactly(client, 2)
            reset(client)
        with asking(server, said) as client:
            client.shutdown(socket.SHUT_WR)
            rest(client)
        wait_until(lambda: {"broken off": 1, "left": 1} == counted(server))


@models
def test_silence_ends_a_connection(model):
    with proxying(Socks, model, silence=SHORT) as server, listening() as listener:
        with through(server, listener) as (client, onward):
            client.settimeout(PATIENCE)
            with pytest.raises(ConnectionResetError):
                rest(client)
            with pytest.raises(ConnectionResetError):
                rest(onward)
