"""``greensock serve``, as its users see it: processes, sockets and signals."""

import errno
import os
import re
import signal
import socket
from contextlib import suppress

import pytest

from tests.commands import IGNORE_CTRL_C, running
from tests.helpers import MODELS

pytestmark = pytest.mark.worldless

HANDLERS = '''
import os, socketserver, threading


def where(request, client_address, server):
    """Tell who answers, on a connection or to a datagram."""
    answer = f"{server.model} {os.getpid()} {threading.get_native_id()}".encode()
    if isinstance(request, tuple):
        request[1].sendto(answer, client_address)
    else:
        request.sendall(answer)


def old_style(sock, address):
    sock.sendall(b"hello")


class Held(socketserver.StreamRequestHandler):
    """Is at work from the client's first byte to the second."""

    def handle(self):
        self.wfile.write(b"ready")
        if len(self.rfile.read(2)) == 2:
            self.wfile.write(b"done")


class Outer:
    class Stuck(socketserver.BaseRequestHandler):
        """Does not notice that its connection was cut."""

        def handle(self):
            self.request.sendall(b"ready")
            threading.Event().wait()


class Last(socketserver.BaseRequestHandler):
    """Asks its server to end."""

    def handle(self):
        self.server.shutdown()
        self.request.sendall(b"bye")


class Odd(BaseException):
    pass


def ends(sock, address):
    raise SystemExit(3)


def breaks(sock, address):
    raise Odd


def fails(sock, address):
    raise ValueError("on purpose")
'''


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The directory that commands are run in, with the module ``handlers``."""
    path = tmp_path_factory.mktemp("here")
    (path / "handlers.py").write_text(HANDLERS)
    return path


def serve(here, handler, *options, **kwargs):
    return running("serve", f"handlers:{handler}", *options, cwd=here, **kwargs)


def place(line):
    """What a startup line says is listened at."""
    return re.fullmatch(r"greensock: serving \S+ on (.*), model \w+", line)[1]


def address(line):
    host, port = re.fullmatch(r"\w+://\[?(.*?)\]?:(\d+)", place(line)).groups()
    return host, int(port)


def connect(line):
    return socket.create_connection(address(line), timeout=30)


def hold(client):
    """Have its handler at work."""
    assert b"ready" == client.recv(5, socket.MSG_WAITALL)
    client.sendall(b".")


def received(sock):
    """All that comes until the end, which is a reset if something was cut in mid request."""
    data = b""
    with suppress(ConnectionResetError):
        while part := sock.recv(1000):
            data += part
    return data


def answer_over(family, kind, target, own=None):
    """What comes back when somebody turns up at ``target``."""
    with socket.socket(family, kind) as sock:
        sock.settimeout(30)
        if own is not None:
            sock.bind(own)
        sock.connect(target)
        if kind == socket.SOCK_DGRAM:
            sock.send(b"who?")
            return sock.recv(1000)
        return received(sock)


def everywhere(here, model):
    """The answers from each kind of endpoint of one command, and the command's process."""
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    name = f"@greensock-test-{os.getpid()}-{model}"
    path, gram = f"{model}.sock", f"{model}.gram"
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_INET, datagram) as receiver,
    ):
        receiver.bind(("127.0.0.1", 0))
        fds = listener.fileno(), receiver.fileno()
        some, local = r"[1-9]\d*", r"127\.0\.0\.1"
        own = f"\0{name[1:]}-client"
        endpoints = {  # what is shown for each, and how to reach it
            "tcp://127.0.0.1:0": (f"tcp://{local}:{some}", socket.AF_INET, stream),
            "tcp://localhost:0": (f"tcp://{local}:{some}", socket.AF_INET, stream),
            "tcp://:0": (f"tcp://0\\.0\\.0\\.0:{some}", socket.AF_INET, stream),
            "tcp://[::]:0": (rf"tcp://\[::\]:{some}", socket.AF_INET6, stream),
            "udp://127.0.0.1:0": (f"udp://{local}:{some}", socket.AF_INET, datagram),
            "udp://[::1]:0": (rf"udp://\[::1\]:{some}", socket.AF_INET6, datagram),
            f"unix:{path}": (f"unix:{path}", socket.AF_UNIX, stream, path),
            f"unix:{name}": (f"unix:{name}", socket.AF_UNIX, stream, f"\0{name[1:]}"),
            f"unixgram:{gram}": (f"unixgram:{gram}", socket.AF_UNIX, datagram, gram, own),
            f"fd://{fds[0]}": (f"tcp://{local}:{some}", socket.AF_INET, stream),
            f"fd://{fds[1]}": (f"udp://{local}:{some}", socket.AF_INET, datagram),
        }
        options = [option for endpoint in endpoints for option in ("--bind", endpoint)]
        options += ["--model", model]
        with serve(here, "where", *options, measured=True, pass_fds=fds) as command:
            answers = {}
            for endpoint, (shown, family, kind, *target) in endpoints.items():
                if endpoint.startswith("fd:"):
                    shown += rf" \({endpoint}\)"
                line = command.line()
                expected = f"greensock: serving handlers:where on {shown}, model {model}"
                assert re.fullmatch(expected, line), line
                if not target:
                    target = [address(line.replace(f" ({endpoint})", ""))]
                answers[endpoint] = answer_over(family, kind, *target).decode().split()
            command.signal(signal.SIGTERM)
            assert (0, "", "") == command.end()
    assert [] == list(here.glob(f"{model}.*"))
    return answers, command


def is_main(pid, thread, command):
    return pid == thread == str(command.pid)


def is_thread(pid, thread, command):
    return pid == str(command.pid) != thread


def is_child(pid, thread, command):
    return pid == thread != str(command.pid)


WORKERS = {"greenlet": is_main, "inline": is_main, "thread": is_thread, "fork": is_child}


@pytest.mark.parametrize("model", MODELS)
def test_every_endpoint_is_served_under_every_model(here, model, monkeypatch):
    """One process serves them all and says where; the paths are gone in the end."""
    monkeypatch.chdir(here)
    answers, command = everywhere(here, model)
    assert 11 == len(answers)
    for endpoint, (name, pid, thread) in answers.items():
        assert model == name, endpoint
        assert WORKERS[model](pid, thread, command), (endpoint, pid, thread, command.pid)


def test_functions_of_a_socket_and_an_address_are_served(here):
    """In greenlets, as nothing else was asked for."""
    with serve(here, "old_style", "--bind", "tcp://127.0.0.1:0") as command:
        line = command.line()
        assert line.endswith(", model greenlet")
        with connect(line) as client:
            assert b"hello" == received(client)


def to_all(command):
    """What a terminal sends to every process of the command."""
    os.killpg(command.pid, signal.SIGINT)


def to_it_alone(command):
    command.signal(signal.SIGTERM)


@pytest.mark.parametrize(
    "model, send", [*((model, to_all) for model in MODELS), ("fork", to_it_alone)]
)
def test_a_signal_ends_it_when_the_handlers_have_finished(here, model, send):
    """Nobody new is accepted, whoever is connected is served to the end, and the status is 0."""
    bind = "--bind", "tcp://127.0.0.1:0", "--log-level", "info"
    with serve(here, "Held", *bind, "--model", model) as command:
        with connect(command.line()) as client:
            hold(client)
            send(command)
            command.complaint("takes no more")
            client.sendall(b".")
            assert b"done" == received(client)
        code, out, errors = command.end()
        assert (0, "") == (code, out), errors
        assert "Traceback" not in errors


@pytest.mark.parametrize("model", MODELS)
def test_handlers_are_cut_when_the_drain_timeout_is_over(here, model):
    options = "--bind", "tcp://127.0.0.1:0", "--drain-timeout", "0", "--model", model
    with serve(here, "Held", *options) as command:
        with connect(command.line()) as client:
            hold(client)
            command.signal(signal.SIGTERM)
            assert b"" == received(client)
            code, out, errors = command.end()
        assert (0, "") == (code, out)
        assert " WARNING greensock: connection from " in errors, errors


def test_it_drains_once_the_lag_is_over(here):
    """Whoever is at work has as much time as without."""
    options = "--bind", "tcp://127.0.0.1:0", "--ready-lag", "0.1", "--log-level", "info"
    with serve(here, "Held", *options) as command:
        with connect(command.line()) as client:
            hold(client)
            command.signal(signal.SIGTERM)
            command.complaint("takes no more")
            client.sendall(b".")
            assert b"done" == received(client)
        code, out, errors = command.end()
    assert (0, "") == (code, out), errors


def test_a_thread_that_never_ends_does_not_keep_it(here):
    options = "--bind", "tcp://127.0.0.1:0", "--drain-timeout", "0", "--model", "thread"
    with serve(here, "Outer.Stuck", *options, measured=True) as command:
        with connect(command.line()) as client:
            assert b"ready" == client.recv(5, socket.MSG_WAITALL)
            command.signal(signal.SIGTERM)
            assert 0 == command.end()[0]


@pytest.mark.parametrize("model", ["greenlet", "fork"])
def test_a_second_signal_ends_it_at_once(here, model):
    """As the signal itself would, and no child is left with the connection."""
    options = "--drain-timeout", "none", "--log-level", "info", "--model", model
    with serve(here, "Held", "--bind", "tcp://127.0.0.1:0", *options) as command:
        with connect(command.line()) as client:
            hold(client)
            command.signal(signal.SIGINT)
            command.complaint("takes no more")
            command.signal(signal.SIGTERM)
            assert b"" == received(client)
        assert -signal.SIGTERM == command.end()[0]


def test_an_ignored_signal_stays_ignored(here):
    """A shell without job control starts what is in the background with SIGINT ignored."""
    bind = "--bind", "tcp://127.0.0.1:0"
    with serve(here, "Held", *bind, first=IGNORE_CTRL_C) as command:
        with connect(command.line()) as client:
            hold(client)
            command.signal(signal.SIGINT)
            command.signal(signal.SIGTERM)  # were it the second, it would not wait
            client.sendall(b".")
            assert b"done" == received(client)
        assert (0, "", "") == command.end()


def test_a_handler_may_end_it(here):
    """By its server's shutdown()."""
    with serve(here, "Last", "--bind", "tcp://127.0.0.1:0") as command:
        with connect(command.line()) as client:
            assert b"bye" == received(client)
        assert (0, "", "") == command.end()


@pytest.mark.parametrize("handler, status", [("ends", 3), ("breaks", 1)])
def test_without_a_model_it_ends_as_its_handler_says(here, handler, status):
    """SystemExit and its like reach the main program, and yet all is closed in order."""
    options = "--bind", "unix:ends.sock", "--model", "inline"
    with serve(here, handler, *options, measured=True) as command:
        command.line()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(here / "ends.sock"))
            assert b"" == received(client)
            assert status == command.end()[0]
    assert not (here / "ends.sock").exists()


def test_errors_in_handlers_are_logged_to_standard_error(here):
    """With when, which client and the traceback."""
    with serve(here, "fails", "--bind", "tcp://127.0.0.1:0", "--log-level", "error") as command:
        with connect(command.line()) as client:
            assert b"" == received(client)
        command.signal(signal.SIGTERM)
        status, _, errors = command.end()
    first, *rest = errors.splitlines()
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    expected = rf"{time} ERROR greensock: request from \('127\.0\.0\.1', \d+\) failed"
    assert re.fullmatch(expected, first)
    assert ("Traceback (most recent call last):", "ValueError: on purpose") == (rest[0], rest[-1])
    assert 0 == status


OUTPUTS = {
    "closed": "import os; os.close(1)",
    "full": "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)",
    "full, as errors are": "import os; os.dup2(os.dup2(os.open('/dev/full', os.O_WRONLY), 1), 2)",
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_it_serves_without_a_standard_output(here, output, model):
    """And says in a line, if it can, that there is no room."""
    how = {"first": OUTPUTS[output], "fresh": (output, model) == ("closed", "greenlet")}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fds = [listener.fileno()]
        options = "--bind", f"fd://{fds[0]}", "--model", model, "--status", "0"
        with serve(here, "where", *options, **how, pass_fds=fds) as command:
            with socket.create_connection(listener.getsockname(), timeout=30) as client:
                assert received(client).startswith(model.encode())
            command.signal(signal.SIGTERM)
            status, out, errors = command.end()
    assert (0, "") == (status, out), errors
    full = f" WARNING greensock: cannot write to standard output: {os.strerror(errno.ENOSPC)}"
    expected = [full] if output == "full" else []
    assert expected == [line[len("2000-01-01 00:00:00,000"):] for line in errors.splitlines()]


def test_an_access_log_that_is_full_is_told_in_a_line(here):
    options = "--bind", "tcp://127.0.0.1:0", "--access-log", "/dev/full"
    with serve(here, "where", *options) as command:
        with connect(command.line()) as client:
            received(client)
        full = os.strerror(errno.ENOSPC)
        assert f"cannot write to the access log: [Errno 28] {full}\n" in command.complaint("")
        command.signal(signal.SIGTERM)
        assert (0, "", "") == command.end()


def test_a_path_that_cannot_be_printed_is_escaped(here):
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    with serve(here, "where", "--bind", "unix:\xfc.sock", environ=ascii_only) as command:
        assert r"unix:\xfc.sock" == place(command.line())


def test_it_can_be_started_again_at_once(here):
    """Although connections that it closed first linger in the system."""
    with serve(here, "where", "--bind", "tcp://127.0.0.1:0") as command:
        line = command.line()
        with connect(line) as client:
            received(client)
        command.signal(signal.SIGTERM)
        command.end()
    with serve(here, "where", "--bind", place(line)) as command:
        assert line == command.line()
