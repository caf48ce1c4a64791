"""``greensock run``: programs that know nothing of greensock run as under python, but green."""

import ast
import http.client
import re
import signal
import socket
import threading
import xmlrpc.client
import zipfile

import pytest

from tests.commands import IGNORE_CTRL_C, command, python, running

pytestmark = pytest.mark.worldless

# Two requests have to be at work at the same time, or neither gets past the barrier.
MEETING = """
import os, threading
from greenlet import getcurrent

meeting = threading.Barrier(2)

def meet():
    meeting.wait(30)
    return f"{threading.get_native_id() == os.getpid()} {getcurrent().parent is not None}"
"""

SERVERS = """
import socketserver, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xmlrpc.server import SimpleXMLRPCServer

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        time.sleep(0.01)
        self.wfile.write(meet().encode())

class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True

    def process_request_thread(self, request, client_address):
        super().process_request_thread(request, client_address)
        print("finished", flush=True)

class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        text = meet().encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass

class Procedures(socketserver.ThreadingMixIn, SimpleXMLRPCServer):
    daemon_threads = True

local = "127.0.0.1", 0
with (
    Server(local, Handler) as lines,
    ThreadingHTTPServer(local, Page) as site,
    Procedures(local, logRequests=False) as procedures,
):
    procedures.register_function(meet)
    print(*(server.server_address[1] for server in (lines, site, procedures)), flush=True)
    for server in site, procedures:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    lines.serve_forever()
"""


def ask_line(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        return client.makefile().read()


def ask_site(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    with connection.getresponse() as response:
        return response.read().decode()


def ask_procedures(port):
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}") as proxy:
        return proxy.meet()


def answers_at_once(ask, port):
    answers = []
    askers = [threading.Thread(target=lambda: answers.append(ask(port))) for _ in range(2)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    return answers


def test_requests_overlap_as_greenlets_of_one_thread(tmp_path):
    """Under any server; and gevent has nothing to warn of, as of modules imported too early."""
    (tmp_path / "program.py").write_text(MEETING + SERVERS)
    with running("run", "program.py", cwd=tmp_path, fresh=True) as ran:
        ports = map(int, ran.line().split())
        for ask, port in zip([ask_line, ask_site, ask_procedures], ports):
            assert (ask, ["True True"] * 2) == (ask, answers_at_once(ask, port))
        assert ["finished", "finished"] == [ran.line(), ran.line()]
        ran.signal(signal.SIGINT)
        status, _, errors = ran.end()
    assert -signal.SIGINT == status
    assert errors.endswith("\nKeyboardInterrupt\n")
    assert "greensock/cli" not in errors


PLUGIN = """
def tell(event):
    print(type(event).__name__, getattr(event, "module_name", "all"))
"""

ENTRY_POINTS = """
[gevent.plugins.monkey.will_patch_all]
tell = plugin:tell
[gevent.plugins.monkey.did_patch_module]
tell = plugin:tell
[gevent.plugins.monkey.did_patch_all]
tell = plugin:tell
"""


def test_plugins_of_gevent_are_told_of_each_step(tmp_path):
    """And the program finds no trace of how they were found."""
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "plugin-1.dist-info").mkdir()
    (tmp_path / "plugin-1.dist-info/METADATA").write_text("Name: plugin\nVersion: 1\n")
    (tmp_path / "plugin-1.dist-info/entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "looks.py").write_text(
        "from importlib.metadata import entry_points\n"
        "print(entry_points.__module__, entry_points.__name__)\n"
    )
    status, out, errors = command("run", "looks.py", cwd=tmp_path)
    first, *steps, last, found = out.splitlines()
    assert (0, "") == (status, errors)
    assert ("GeventWillPatchAllEvent all", "GeventDidPatchAllEvent all") == (first, last)
    assert {"GeventDidPatchModuleEvent socket", "GeventDidPatchModuleEvent ssl"} < set(steps)
    assert "importlib.metadata entry_points" == found


PRESSES_CTRL_C = """
import os, signal, socketserver, threading

class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            print("handler", flush=True)
        self.request.sendall(b"after")

with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    print(server.server_address[1], flush=True)
    try:
        thread.join()
    except KeyboardInterrupt:
        print("main", flush=True)
    server.shutdown()
"""


def test_ctrl_c_reaches_the_main_program_past_a_handler(tmp_path):
    """Which would not see it in a thread, either."""
    (tmp_path / "program.py").write_text(PRESSES_CTRL_C)
    with running("run", "program.py", cwd=tmp_path, measured=True) as ran:
        assert "after" == ask_line(int(ran.line()))
        assert (0, "main\n", "") == ran.end()


WAITS_FOR_CTRL_C = """
import gevent, os, signal, time

# In Python, which hears of a signal at once; a call that C code makes may be the last for a minute.
gevent.get_hub().loop.run_callback(lambda: os.kill(os.getpid(), signal.SIGINT))
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("ends")
"""


def test_ctrl_c_is_not_printed_for_a_program_that_expects_it(tmp_path):
    """Though it comes to the hub while the program waits, and no server is there."""
    (tmp_path / "program.py").write_text(WAITS_FOR_CTRL_C)
    assert (0, "ends\n", "") == command("run", "program.py", cwd=tmp_path, measured=True)


def test_an_ignored_ctrl_c_stays_ignored(tmp_path):
    (tmp_path / "looks.py").write_text("import signal; print(signal.getsignal(2).name)")
    ended = command("run", "looks.py", cwd=tmp_path, measured=True, first=IGNORE_CTRL_C)
    assert (0, "SIG_IGN\n", "") == ended


def test_a_module_that_serves_is_run(tmp_path):
    """The standard library's own web server, which ends in order on Ctrl-C."""
    (tmp_path / "page").write_text("hello")
    args = "run", "-m", "http.server", "0", "--bind", "127.0.0.1"
    with running(*args, cwd=tmp_path, environ={"PYTHONUNBUFFERED": "1"}) as ran:
        port = int(re.search(r"port (\d+)", ran.line())[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/page")
        with connection.getresponse() as response:
            assert b"hello" == response.read()
        ran.signal(signal.SIGINT)
        assert (0, "\nKeyboard interrupt received, exiting.\n") == ran.end()[:2]


TELL = """
import sys

spec = globals().get("__spec__")
told = dict(
    argv=sys.argv, path=sys.path, name=__name__, file=__file__, package=__package__,
    cached=globals().get("__cached__"), spec=spec and (spec.name, spec.origin, spec.parent),
    loader=type(__loader__).__name__, builtins=type(__builtins__).__name__,
    itself=vars(sys.modules["__main__"]) is globals(), names=sorted(globals()),
)

print(told)
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A directory with a program in every form that python runs."""
    path = tmp_path_factory.mktemp("programs")
    for name in "tell.py", "folder/tell.py", "folder/__main__.py", "package/__main__.py":
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(TELL)
    (path / "package/__init__.py").touch()
    (path / "empty").mkdir()
    (path / "link.py").symlink_to("folder/tell.py")
    with zipfile.ZipFile(path / "program.zip", "w") as archive:
        archive.writestr("__main__.py", TELL)
    return path


@pytest.mark.parametrize(
    "target",
    ["folder/tell.py", "link.py", "folder", "program.zip", "-m tell", "-m package"],
)
def test_a_program_finds_itself_where_python_puts_it(programs, target):
    """Its arguments, paths and names are the same, and the options after it are its own."""
    args = *target.split(), "--help", "-m", "x", "--", "-y"
    as_usual = ast.literal_eval(python(*args, cwd=programs, fresh=True)[1])
    options = {"measured": target in ("folder", "-m package"), "fresh": target == "-m tell"}
    status, out, errors = command("run", *args, cwd=programs, **options)
    assert (0, "") == (status, errors)
    assert as_usual == ast.literal_eval(out)


FAILURES = {
    "sys.exit('goodbye')": 1,
    "def f():\n    1 / 0\nf()": 1,
    "a b c": 1,
    "raise KeyboardInterrupt": -signal.SIGINT,
    "sys.excepthook = lambda *args: print(args[2].tb_frame.f_code.co_name)\n1 / 0": 1,
}

MEASURED = "sys.exit('goodbye')", "def f():\n    1 / 0\nf()"


@pytest.mark.parametrize("code", FAILURES)
def test_a_program_ends_as_under_python(tmp_path, code):
    """With the same status, and with the same traceback."""
    (tmp_path / "ends.py").write_text(f"import sys\n{code}\n")
    as_usual = python("ends.py", cwd=tmp_path, fresh=True)
    assert FAILURES[code] == as_usual[0]
    options = {"measured": code in MEASURED, "fresh": "1 / 0" in code}
    assert as_usual == command("run", "ends.py", cwd=tmp_path, **options)


def test_processes_of_multiprocessing_find_the_program(tmp_path):
    """A spawned one imports it under another name, and does not run it again."""
    (tmp_path / "spawns.py").write_text(
        "import multiprocessing\n"
        "def work():\n"
        "    print(__name__, flush=True)\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    process.start()\n"
        "    process.join()\n"
        "    print(process.exitcode)\n"
    )
    assert (0, "__mp_main__\n0\n", "") == command("run", "spawns.py", cwd=tmp_path)


NOTHING_TO_RUN = {
    "-m nowhere": "there is no module 'nowhere', neither in ",
    "-m empty": "'empty' is no program: it has no code for python -m to run",
    "-m sys": "'sys' is no program: it has no code for python -m to run",
}


@pytest.mark.parametrize("target", NOTHING_TO_RUN)
def test_what_cannot_be_run_is_told_in_one_line(programs, target):
    status, out, errors = command("run", *target.split(), cwd=programs, measured=True)
    assert (2, "", 1) == (status, out, errors.count("\n"))
    assert errors.startswith(f"greensock: {NOTHING_TO_RUN[target]}")


def test_what_is_not_public_in_socketserver_is_there(tmp_path):
    """Programs use it, too; what is public is greensock's, with greenlets for threads."""
    (tmp_path / "looks.py").write_text(
        "import socketserver, sys\n"
        "print(socketserver.__name__, sys.modules['socketserver'] is socketserver)\n"
        "print(socketserver._SocketWriter.__module__, socketserver.TCPServer.__module__)\n"
        "print(socketserver.ThreadingUDPServer.model, socketserver.ForkingMixIn.model)\n"
    )
    expected = "socketserver True\nsocketserver greensock.servers\ngreenlet fork\n"
    assert (0, expected, "") == command("run", "looks.py", cwd=tmp_path)
