"""The examples in the standard library's documentation print the same with greensock.

``stdlib_examples`` holds them as documented for Python 3.13, under the Zero-Clause BSD licence.
They run unchanged but for the port, and for ``import greensock as socketserver`` or a mixin.
What is changed runs in a plain process and in a patched one, the original in a plain one.
"""

import functools
import io
import random
import runpy
import signal
import socket
import sys
import time
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest

from tests.prepared import start
from tests.programs import ROOT, environment

pytestmark = pytest.mark.worldless

EXAMPLES = ROOT / "tests" / "stdlib_examples"
PATCHED = "-m", "tests.patching"
WORDS = "hello world with TCP", "python is nice"


def replacing(old, new):
    """The change that puts ``new`` in the place of ``old`` in a program."""

    def change(text):
        assert old in text
        return text.replace(old, new)

    return change


swapped = replacing("import socketserver", "import greensock as socketserver")


def until(attempt, *errors):
    """Repeat the attempt while it raises one of the errors; return what it returns."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return attempt()
        except errors:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def spare_port(kind):
    """One that the system gives to nobody who does not ask for it."""
    ends = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        with socket.socket(socket.AF_INET, kind) as sock, suppress(OSError):
            sock.bind(("127.0.0.1", random.SystemRandom().randrange(10_000, ends)))
            return sock.getsockname()[1]


class Place:
    """A directory to run documented programs in, on a port of their own."""

    def __init__(self, directory, kind=socket.SOCK_STREAM, patching=()):
        self.directory = directory
        self.patching = patching
        self.port = str(spare_port(kind))

    def write(self, name, changes=()):
        text = (EXAMPLES / name).read_text()
        for change in changes:
            text = change(text)
        text = text.replace("9999", self.port).replace("8000", self.port)
        (self.directory / name).write_text(text)
        return self.directory / name

    def start(self, name, *args, changes=()):
        """A program; one that is changed for greensock and not patched, as its users start it."""
        self.write(name, changes)
        command = *(self.patching if changes else ()), name, *args
        fresh = bool(changes) and not self.patching and name == "tcp_server.py"
        return start(*command, cwd=self.directory, env=environment(), fresh=fresh)

    def run(self, name, *args, changes=()):
        """What a program prints that ends by itself."""
        process = self.start(name, *args, changes=changes)
        out, errors = process.communicate(timeout=60)
        assert 0 == process.returncode, errors
        return out

    def visit(self, name, *args):
        """What a client prints when somebody listens; this process will do for it."""
        program = str(self.write(name))
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
            patch.setattr(sys, "argv", [program, *args])
            until(lambda: runpy.run_path(program, run_name="__main__"), ConnectionRefusedError)
        return out.getvalue()

    def serve(self, name, talk, changes=()):
        """What ``talk(self)`` returns while a program serves, and what that prints till Ctrl-C."""
        process = self.start(name, changes=changes)
        try:
            heard = talk(self)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
            assert "KeyboardInterrupt" == errors.splitlines()[-1]
            assert -signal.SIGINT == process.returncode
            return heard, out.replace(self.port, "PORT")
        finally:
            process.kill()
            process.communicate()

    def fetch(self):
        """The answer to an HTTP request, but for its date, when all of it has come.

        Whoever interrupts a WSGI application would only be logged.
        """
        address = "127.0.0.1", int(self.port)
        connect = functools.partial(socket.create_connection, address, timeout=30)
        with until(connect, ConnectionRefusedError) as sock, sock.makefile("rb") as file:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return [line for line in file if not line.startswith(b"Date: ")]

    def knock(self):
        """Send an empty datagram; ConnectionRefusedError if nobody is there to answer it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            sock.connect(("127.0.0.1", int(self.port)))
            sock.send(b"")
            sock.recv(1)


@pytest.mark.parametrize("server", ["tcp_server.py", "tcp_stream_server.py"])
def test_tcp_server(server, tmp_path):
    def talk(place):
        return [place.visit("tcp_client.py", *words.split()) for words in WORDS]

    documented = Place(tmp_path).serve(server, talk)
    for patching in (), PATCHED:
        place = Place(tmp_path, patching=patching)
        assert documented == place.serve(server, talk, [swapped])


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # as the client leaves it
def test_udp_server(tmp_path):
    def talk(place):
        until(place.knock, ConnectionRefusedError)
        return [place.visit("udp_client.py", *words.split()) for words in WORDS]

    documented = Place(tmp_path, socket.SOCK_DGRAM).serve("udp_server.py", talk)
    for patching in (), PATCHED:
        place = Place(tmp_path, socket.SOCK_DGRAM, patching=patching)
        assert documented == place.serve("udp_server.py", talk, [swapped])


@pytest.mark.parametrize("mixin", ["ThreadingMixIn", "ForkingMixIn"])
def test_asynchronous_mixin(mixin, tmp_path):
    """The names of the threads are the same, too."""
    mixed = replacing("ThreadingMixIn", mixin)
    for patching in (), PATCHED:  # the original, too: a patched child's thread has another name
        place = Place(tmp_path, patching=patching)
        documented = place.run("threaded_tcp_server.py", changes=[mixed])
        assert 4 == len(documented.splitlines())
        assert documented == place.run("threaded_tcp_server.py", changes=[mixed, swapped])


def test_http_server(tmp_path):
    documented = Place(tmp_path).serve("http_server.py", Place.fetch)
    for patching in (), PATCHED:
        place = Place(tmp_path, patching=patching)
        assert documented == place.serve("http_server.py", Place.fetch, [swapped])


def test_xmlrpc_server_with_a_mixin(tmp_path):
    def talk(place):
        return place.visit("xmlrpc_client.py")

    imported = "from xmlrpc.server import SimpleXMLRPCServer\n"
    green = "class SimpleXMLRPCServer(greensock.GreenletMixIn, SimpleXMLRPCServer): pass\n"
    mixed = replacing(imported, f"import greensock\n{imported}{green}")
    documented = Place(tmp_path).serve("xmlrpc_server.py", talk)
    for patching in (), PATCHED:
        place = Place(tmp_path, patching=patching)
        assert documented == place.serve("xmlrpc_server.py", talk, [mixed])


def test_wsgi_server_with_a_mixin(tmp_path):
    imported = "from wsgiref.simple_server import make_server"
    green = "class Green(greensock.GreenletMixIn, WSGIServer): pass\n"
    mixed = replacing(f"{imported}\n", f"import greensock\n{imported}, WSGIServer\n{green}")
    used = replacing("hello_world_app) as", "hello_world_app, Green) as")
    documented = Place(tmp_path).serve("wsgi_server.py", Place.fetch)
    for patching in (), PATCHED:
        place = Place(tmp_path, patching=patching)
        assert documented == place.serve("wsgi_server.py", Place.fetch, [mixed, used])
