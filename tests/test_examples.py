"""The examples that need little: echo and legacy_http. What is true of all is here, too."""

import http.client
import re
import shutil
import socket
import subprocess

import pytest

import greensock
from tests.commands import ROOT, python
from tests.programs import EXAMPLES, Client, example, served

ACCESS = r'127\.0\.0\.1 .* "GET /.* HTTP/1\.1" 200 -'


@pytest.mark.worldless
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_is_short(path):
    """It can be read in one go."""
    assert len(path.read_text().splitlines()) <= 60


@pytest.mark.worldless
@pytest.mark.parametrize("name", ["echo", "legacy_http"])
def test_a_port_in_use_is_told_in_one_line(name):
    """As whoever starts an example twice finds out."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, out, errors = python(EXAMPLES / f"{name}.py", "--port", port, cwd=ROOT)
    assert (1, "") == (status, out)
    assert re.fullmatch(r"cannot listen.* in use.*\n", errors) and str(port) in errors


@pytest.mark.worldless
@pytest.mark.parametrize("target", ["nowhere", "nowhere:http"])
def test_proxy_asks_for_host_and_port(target):
    status, out, errors = python(EXAMPLES / "proxy.py", "--to", target, cwd=ROOT)
    assert (1, "") == (status, out)
    assert f"--to {target} names no target: write HOST:PORT or [ADDRESS]:PORT\n" == errors


@pytest.fixture(scope="module", params=greensock.MODELS)
def echo(request):
    with example("echo", request.param) as address:
        yield address


def test_echo_sends_lines_back(echo):
    with Client.connect(echo) as client:
        for line in b"one\n", b"two\n":
            client.send(line)
            assert line == client.line()


def test_echo_sends_back_what_no_newline_ends(echo):
    """A line of any length comes back whole, and so does a last one without its newline."""
    text = b"x" * 200_000
    with Client.connect(echo) as client:
        client.send(text)
        client.end()
        assert text == client.rest()


def test_echo_survives_clients_that_vanish(echo):
    """One that resets its connection, unread data and all, is no error."""
    client = Client.connect(echo)
    client.send(b"x" * 200_000)
    client.reset()
    with Client.connect(echo) as client:
        client.send(b"still here\n")
        assert b"still here\n" == client.line()


@pytest.mark.skipif(not shutil.which("nc"), reason="there is no nc")
def test_echo_is_reached_with_nc(echo):
    host, port = echo
    done = subprocess.run(
        ["nc", "-N", host, str(port)], input=b"hello\n", capture_output=True, timeout=30
    )
    assert b"hello\n" == done.stdout


@pytest.mark.worldless
def test_echo_is_served_by_the_command():
    with served("examples.echo:Echo") as address, Client.connect(address) as client:
        client.send(b"one\n")
        assert b"one\n" == client.line()
        client.end()
        assert b"" == client.rest()


@pytest.fixture(scope="module", params=["greenlet", "thread", "fork"])
def site(request):
    with example("legacy_http", request.param, log=ACCESS) as address:
        yield address


def get(connection, path):
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()


def test_legacy_site_serves_many_that_stay(site):
    """Each visitor keeps a connection open, and none waits for another."""
    visitors = [http.client.HTTPConnection(*site, timeout=30) for _ in range(8)]
    for path in "/first", "/second":
        for visitor in visitors:
            assert (200, f"You asked for {path}\n".encode()) == get(visitor, path)
    for visitor in visitors:
        visitor.close()


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_legacy_site_is_reached_with_curl(site):
    url = "http://{}:{}/hello".format(*site)
    done = subprocess.run(["curl", "-sS", url], capture_output=True, timeout=30)
    assert (b"You asked for /hello\n", b"") == (done.stdout, done.stderr)


@pytest.mark.worldless
def test_legacy_handler_is_served_by_the_command():
    with served("examples.legacy_http:Page", log=ACCESS) as address:
        visitor = http.client.HTTPConnection(*address, timeout=30)
        assert (200, b"You asked for /\n") == get(visitor, "/")
        visitor.close()
