"""The proxy application as its users run it: its options, curl through it, HAProxy before it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.request
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

import greensock
from examples.proxy.__main__ import main
from tests.helpers import LOCAL, has_ipv6, served
from tests.prepared import start
from tests.programs import PATCHING, ROOT, environment, example
from tests.test_proxy_foreign import haproxy, with_haproxy

CURL = shutil.which("curl")
with_curl = pytest.mark.skipif(not CURL, reason="curl is not installed (Debian: curl)")


class Site(greensock.StreamRequestHandler):
    """A web server that tells what it was asked, and how much came with that."""

    def handle(self):
        while line := self.rfile.readline().decode():
            size = 0
            while (header := self.rfile.readline().strip().lower()) != b"":
                name, _, value = header.partition(b":")
                size = int(value) if name == b"content-length" else size
            answer = f"{line.split()[0]} {len(self.rfile.read(size))}".encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer)
            self.wfile.write(head + answer)


@pytest.fixture
def site():
    with served(greensock.ThreadingTCPServer(LOCAL, Site)) as server:
        yield "127.0.0.1:%d" % server.server_address[1]


@contextmanager
def running(*options, lines=1, fresh=False):
    """The command; the places that it says it listens at, in their order, and its process."""
    module = "--module" if PATCHING else "-m"
    args = *PATCHING, module, "examples.proxy", *options
    process = start(*args, cwd=ROOT, env=environment(), fresh=fresh)
    try:
        told = [process.stdout.readline() for _ in range(lines)]
        assert all(told), process.stderr.read()
        yield [line.split(" on ")[-1].split(",")[0].split(" at ")[-1].strip() for line in told]
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=30)
        assert (0, "", "") == (process.returncode, out, errors)
    finally:
        process.kill()
        process.communicate()


def curl(*args, status=0):
    done = subprocess.run([CURL, "-sS", *args], capture_output=True, timeout=60, text=True)
    assert status == done.returncode, done.stderr
    return done.stdout


@with_curl
@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_curl_gets_through_in_every_mode(model, site, tmp_path):
    """With a name and a password; and what has been counted is shown."""
    users = tmp_path / "users"
    users.write_text("# people\nname:word\n")
    places = ["--socks", "0", "--http", "0", "--forward", f"0={site}", "--status", "0"]
    places += ["--socks", "[::1]:0"] if has_ipv6() else []
    options = ["--model", model, "--users", str(users), "--allow", "127.0.0.1", *places]
    fresh = model == "greenlet"
    with running(*options, lines=len(places) // 2, fresh=fresh) as (forward, *socks, http, status):
        port = site.partition(":")[2]
        name = f"http://localhost:{port}/"
        for way in [
            # It would look the name up itself, and may prefer what is not allowed.
            *(["--resolve", f"localhost:{port}:127.0.0.1", "--socks5", place] for place in socks),
            *(["--socks5-hostname", place] for place in socks),
            ["--proxy", f"http://{http}"],
            ["--proxytunnel", "--proxy", f"http://{http}"],
        ]:
            way += ["--proxy-user", "name:word"]
            posting = "--next", "-sS", *way, "--data", "x" * 100_000, name
            assert "GET 0GET 0POST 100000" == curl(*way, name, name, *posting)
        assert "407" == curl("-o", "/dev/null", "-w", "%{http_code}", "--proxy", http, name)
        assert "GET 0" == curl(f"http://{forward}/")
        with urllib.request.urlopen(f"{status}metrics") as metrics:
            text = metrics.read().decode()
        labels = f'{{forward="{forward}",upstream="{site}"}}'
        assert f"greensock_proxy_upstream_connections_total{labels} 1.0" in text
        assert f"greensock_proxy_upstream_up{labels} 1.0" in text
        assert 'greensock_proxy_outcomes_total{mode="http",outcome="407"' in text
        assert "greensock_connections_total" in text


@with_curl
@pytest.mark.worldless
def test_curl_gets_through_processes(site):
    forking = "--socks", "0", "--http", "0", "--model", "fork"
    with running(*forking, "--allow", "127.0.0.1", lines=2) as (socks, http):
        for way in ["--socks5", socks], ["--proxy", http], ["--proxytunnel", "--proxy", http]:
            assert "GET 0" == curl(*way, f"http://{site}/")
    working = "--http", "0", "--workers", "2", "--model", "thread"
    with running(*working, "--allow", "127.0.0.1") as (http,):
        assert "GET 0" == curl("--proxy", http, f"http://{site}/")


@with_curl
@pytest.mark.worldless
def test_curl_tells_who_it_is_and_so_does_the_proxy():
    """Through two of them, of which the second one wants a header, and to a server that does."""
    settings = {"proxy_protocol": "required", "trusted_proxies": ["127.0.0.1"]}

    class Tell(greensock.StreamRequestHandler):
        def handle(self):
            answer = repr(self.client_address == self.proxy_header.source).encode()
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n%d " % self.proxy_header.version + answer)

    last = type("Last", (greensock.ThreadingTCPServer,), settings)(LOCAL, Tell)
    with served(last):
        target = "127.0.0.1:%d" % last.server_address[1]
        behind = "--proxy-protocol-in", "127.0.0.1,::1", "--send-proxy"
        with running("--forward", f"0={target}", *behind, "v2", "--workers", "1") as (second,):
            with running("--forward", f"0={second}", *behind, "v1") as (first,):
                assert "2 True" == curl("--haproxy-protocol", f"http://{first}/")


@with_curl
@with_haproxy
@pytest.mark.worldless
def test_haproxy_goes_before_it(site, tmp_path):
    """Nobody else may come, as if from it."""
    places = "--forward", f"0={site}", "--socks", "0", "--http", "0"
    behind = "--proxy-protocol-in", "127.0.0.1", "--allow", "127.0.0.1", "--clients", "127.0.0.1"
    with running(*places, *behind, lines=3) as (forward, socks, http):
        for place, *way in [forward], [socks, "--socks5"], [http, "--proxy"]:
            host, port = place.split(":")
            server = SimpleNamespace(server_address=(host, int(port)))
            with haproxy(tmp_path, server, front=("", "send-proxy-v2")) as fronts:
                front = "%s:%d" % fronts["front"]
                url = f"http://{site}/" if way else f"http://{front}/"
                assert "GET 0" == curl(*way, *[front][:len(way)], url)
            assert "" == curl("-o", "/dev/null", f"http://{place}/", status=52)


@pytest.mark.worldless
@pytest.mark.parametrize(
    "args, complaint",
    [
        ([], "nothing is to be served: give --forward, --socks or --http"),
        (["--socks", "0.0.0.0:1080"], "anybody could use the proxy at 0.0.0.0:1080: name .*"),
        (["--http", "[::]:1080"], "anybody could use the proxy at .*"),
        (["--socks", "x"], "argument --socks: 'x' has no port from 0 to 65535: write .*"),
        (["--forward", "80"], "argument --forward: '80' is no forwarding: write .*"),
        (["--forward", "80=x"], "argument --forward: 'x' has no port .*"),
        (["--forward", "80=:80"], "argument --forward: ':80' is no upstream: write .*"),
        (["--forward", "80="], "argument --forward: .*"),
        (["--socks", "0", "--allow", "x"], "argument --allow: 'x' is no rule .*: write .*"),
        (["--socks", "0", "--clients", "x"], "argument --clients: 'x' does not appear .*"),
        (["--socks", "0", "--users", "/nowhere"], "--users /nowhere cannot be read: .*"),
        (["--socks", "0", "--users", "setup.cfg"], "in setup.cfg, line 1 is no NAME:PASSWORD.*"),
        (["--socks", "0", "--patience", "0"], "argument --patience: '0' is no number above 0, .*"),
        (["--socks", "0", "--silence", "nan"], "argument --silence: 'nan' is no number.*"),
        (["--socks", "0", "--workers", "2", "--http", "0"], "workers share one place, .*"),
        (["--forward", "0=a:1", "--model", "fork"], "with --model fork, .*: choose another .*"),
        (["--socks", "0", "--send-proxy", "v1"], "--send-proxy is for the upstreams .*"),
        (["--http", "0", "--proxy-protocol-in", "::1"], "anybody could use the proxy at .*"),
        (["--http", "0", "--proxy-protocol-in", "any"], "argument --proxy-protocol-in: 'any' .*"),
        (["--socks", "192.0.2.1:1", "--clients", "any"], "cannot listen at 192.0.2.1:1: .*"),
        (["--http", "0", "--check-http", "x"], "argument --check-http: 'x' is no path: .*"),
        (["--nonsense"], "unrecognized arguments: --nonsense; see .*"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_line(args, complaint, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert 2 == main(args)
    out, errors = capsys.readouterr()
    assert "" == out
    assert re.fullmatch(f"proxy: {complaint}\n", errors), errors


@pytest.mark.worldless
def test_users_may_be_named_in_the_environment(monkeypatch, capsys):
    """And what is wrong is not repeated, for it may be a password."""
    monkeypatch.setitem(os.environ, "PROXY_USERS", "secret")
    assert 2 == main(["--socks", "0.0.0.0:0"])
    assert "in PROXY_USERS, line 1 is no NAME:PASSWORD" in capsys.readouterr().err


@pytest.mark.worldless
def test_a_place_in_use_is_told_and_the_others_are_left(capsys):
    with socket.create_server(LOCAL) as other:
        port = other.getsockname()[1]
        assert 2 == main(["--socks", "0", "--http", str(port)])
    assert f"cannot listen at 127.0.0.1:{port}: Address already in use" in capsys.readouterr().err


@pytest.mark.worldless
def test_the_small_forwarder_is_still_there(site):
    """As a script; and as examples.proxy:Proxy, though a package has that name."""
    with example("proxy", "greenlet", "--to", site) as address:
        assert b"GET 0" == urllib.request.urlopen("http://%s:%d/" % address).read()
