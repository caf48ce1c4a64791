"""The proxy example: two directions, each with an end of its own, under every model."""

import socket
import threading
from pathlib import Path

import pytest

from tests.programs import MODELS, Client, example, served


@pytest.fixture(scope="module")
def target():
    """A listening socket; the tests themselves are the server that is forwarded to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield listener


@pytest.fixture(scope="module", params=MODELS)
def proxy(request, target):
    host, port = target.getsockname()
    with example("proxy", request.param, "--to", f"{host}:{port}") as address:
        yield address


@pytest.fixture
def near(proxy):
    """The client's end of a forwarded connection."""
    with Client.connect(proxy) as client:
        yield client


@pytest.fixture
def far(near, target):
    """The server's end of the same."""
    sock, _ = target.accept()
    with Client(sock) as client:
        yield client


def check_that_it_has_ended(client):
    try:
        assert b"" == client.rest()
    except ConnectionError:
        pass


def test_lines_cross_both_ways(near, far):
    near.send(b"question\n")
    assert b"question\n" == far.line()
    far.send(b"answer\n")
    assert b"answer\n" == near.line()


def test_both_directions_flow_at_once(near, far):
    """Neither waits for the other, although both fill what the system buffers."""
    there, back = b"there" * 1_000_000, b"back" * 1_000_000
    received = {}

    def receive(end):
        received[end] = end.rest()

    def send(end, data):
        end.send(data)
        end.end()

    tasks = [(receive, near), (receive, far), (send, near, there), (send, far, back)]
    threads = [threading.Thread(target=task, args=args) for task, *args in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert there == received[far]
    assert back == received[near]


def test_client_may_end_first(near, far):
    """Its end is passed on, and what the server says then still arrives."""
    near.send(b"all I have to say")
    near.end()
    assert b"all I have to say" == far.rest()
    far.send(b"and the answer")
    far.end()
    assert b"and the answer" == near.rest()


def test_server_may_end_first(near, far):
    far.send(b"all I have to say")
    far.end()
    assert b"all I have to say" == near.rest()
    near.send(b"and the answer")
    near.end()
    assert b"and the answer" == far.rest()


def test_client_that_vanishes_is_gone_for_the_server(near, far):
    near.send(b"one\n")
    far.line()
    near.reset()
    check_that_it_has_ended(far)


def test_server_that_vanishes_is_gone_for_the_client(near, far):
    near.send(b"one\n")
    far.line()
    far.reset()
    check_that_it_has_ended(near)


@pytest.mark.worldless
@pytest.mark.parametrize("model", ["greenlet"])
def test_unreachable_server_costs_a_line_and_the_connection(model):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # without listening
        host, port = nobody.getsockname()
        log = rf".*'{host}', {port}.* Connection refused"
        with example("proxy", model, "--to", f"{host}:{port}", log=log) as address:
            with Client.connect(address) as client:
                check_that_it_has_ended(client)


@pytest.mark.worldless
def test_handler_is_served_by_the_command(target, tmp_path):
    """A subclass says where to."""
    host, port = target.getsockname()
    module = f"from examples.proxy import Proxy\nclass Forward(Proxy): target = {host!r}, {port}"
    Path(tmp_path, "forward.py").write_text(module)
    with served("forward:Forward", cwd=tmp_path) as address, Client.connect(address) as near:
        sock, _ = target.accept()
        with Client(sock) as far:
            near.send(b"question\n")
            assert b"question\n" == far.line()
