"""`greensock serve --status`: the look from outside that the command serves."""

import json
import re
import signal
import socket

import pytest

from tests.commands import complaint_of, running
from tests.helpers import MODELS, connect_to, rest, wait_until
from tests.web import request

pytestmark = pytest.mark.worldless

SERVE = "serve", "handlers:Held", "--bind", "tcp://127.0.0.1:0"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    path = tmp_path_factory.mktemp("here")
    (path / "handlers.py").write_text(
        "import socketserver\n"
        "class Held(socketserver.StreamRequestHandler):\n"
        "    def handle(self):\n"
        "        self.wfile.write(b'ready')\n"
        "        self.rfile.read(2)\n"
        "        self.wfile.write(b'done')\n"
    )
    return path


def answer(address, path):
    response, body = request(address, path)
    return response.status, body


@pytest.mark.parametrize("model", MODELS)
def test_the_command_serves_it_to_the_end(here, model):
    """While handlers finish as well, but then it is not ready any more."""
    options = "--status", "0", "--log-level", "info", "--model", model
    with running(*SERVE, *options, cwd=here, measured=True) as process:
        port = int(re.search(r":(\d+),", process.line())[1])
        place = re.fullmatch(r"greensock: status at http://(127\.0\.0\.1):(\d+)/", process.line())
        address = place[1], int(place[2])
        with connect_to(("127.0.0.1", port)) as client:
            assert b"ready" == client.recv(5, socket.MSG_WAITALL)
            assert (200, b"ready\n") == answer(address, "/readyz")
            assert 1 == json.loads(answer(address, "/stats.json")[1])["opened"]
            client.sendall(b".")  # it is at work until the second byte has come
            process.signal(signal.SIGTERM)
            process.complaint("takes no more")
            code, text = answer(address, "/readyz")
            assert (503, True) == (code, text.startswith(b"about to end"))
            assert (200, b"ok\n") == answer(address, "/healthz")
            client.sendall(b".")
            assert b"done" == rest(client)
        code, out, errors = process.end()
    assert (0, "") == (code, out), errors
    assert "Traceback" not in errors


def test_it_is_not_ready_for_some_time_before_the_end(here):
    """Who was sent here meanwhile is served."""
    options = "--status", "0", "--ready-lag", "60", "--log-level", "info"
    with running(*SERVE, *options, cwd=here) as process:
        port = int(re.search(r":(\d+),", process.line())[1])
        status = "127.0.0.1", int(re.search(r":(\d+)/", process.line())[1])
        process.signal(signal.SIGTERM)
        wait_until(lambda: 503 == answer(status, "/readyz")[0])
        with connect_to(("127.0.0.1", port)) as client:
            assert b"ready" == client.recv(5, socket.MSG_WAITALL)
            client.sendall(b"..")
            assert b"done" == rest(client)
        process.signal(signal.SIGTERM)
        code, out, errors = process.end()
    assert (-signal.SIGTERM, "") == (code, out)
    assert "takes no more" not in errors


def test_the_command_says_in_one_line_why_it_cannot_serve_it(capsys):
    serve = "serve", "socketserver:BaseRequestHandler", "--bind", "tcp://127.0.0.1:0"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for text, expected in (
            (port, f"cannot serve the status at {port}: Address already in use"),
            ("nowhere", "--status: 'nowhere' has no port from 0 to 65535: write PORT for"),
        ):
            complaint = complaint_of(capsys, *serve, "--status", text)
            assert complaint.startswith(expected) and "\n" not in complaint
