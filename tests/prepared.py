"""Starts pythons as subprocess.Popen would, forked from a process that has imported what they need.

An interpreter that begins anew spends most of its time on imports. What is about such a beginning,
and what is measured, or is started by another command, has a real one.
"""

import os
import sys

if __name__ == "__main__" and sys.argv[2] == "patched":
    from gevent import monkey

    from tests import patching  # noqa: F401  # it makes this faster

    monkey.patch_all()

import _socket  # which is not patched: to wait in it needs no hub
import array
import atexit
import gc
import json
import runpy
import select
import signal
import socket
import subprocess
import threading
import types
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

from gevent.monkey import MonkeyPatchWarning, get_original

from greensock.net import native

ROOT = Path(__file__).resolve().parent.parent

# In the environment: the descriptors of nurseries that others have opened, the plain one's first.
NURSERIES = "GREENSOCK_TESTS_NURSERIES"
# In that of a forked program which replaces itself: its file, for what it becomes.
PROGRAM = "GREENSOCK_TESTS_PROGRAM"

# After what a program is to find done, be that program.
EXECUTE = "\nimport os, sys; os.execv(sys.argv[1], sys.argv[1:])"

# What the programs import, as far as it is installed.
IMPORTED = """
argparse http.server logging.handlers pytest
greensock.cli greensock.cli.serve greensock.cli.trying greensock.status gevent.hub gevent.socket
examples.proxy.options examples.proxy.serving wsgiref.simple_server xmlrpc.server
"""


def _inherited():
    """The sockets that lead to nurseries which others have opened; nobody inherits them from us."""
    sockets = [_socket.socket(fileno=int(fd)) for fd in os.environ.pop(NURSERIES, "").split()]
    for sock in sockets:
        os.set_inheritable(sock.fileno(), False)
        atexit.register(sock.close)
    return dict(zip((False, True), sockets))


# By whether a nursery is patched, the socket that leads to it.
_given = {} if __name__ == "__main__" else _inherited()
_opened: dict[bool, _socket.socket] = {}


def _nursery(patched):
    if patched not in _given and patched not in _opened:
        _opened[patched] = _open(patched)
    return _given.get(patched) or _opened[patched]


def _open(patched):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("COVERAGE_PROCESS_CONFIG", None)
        world = "patched" if patched else "plain"
        subprocess.run(
            [sys.executable, "-m", "tests.prepared", str(theirs.fileno()), world],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            check=True,
        )
    return ours


@contextmanager
def nurseries():
    """Until the end of the block programs may be forked; what is opened for it ends with it."""
    try:
        yield
    finally:
        while _opened:
            _opened.popitem()[1].close()


@contextmanager
def shared():
    """Nurseries for whom this process starts, until the end of the block.

    What those need of it in their environment, and the descriptors to pass.
    """
    with nurseries():
        fds = [_nursery(patched).fileno() for patched in (False, True)]
        yield {NURSERIES: " ".join(map(str, fds))}, fds


def start(
    *args,
    cwd,
    env,
    patched=False,
    to=None,
    fresh=False,
    first="",
    pass_fds=(),
):
    """A python with these arguments, leader of a session, whose output and errors are read here.

    Unless ``fresh`` it is forked, if nothing is measured; with ``patched`` it may be monkey-patched
    by then. ``to``: two descriptors to which it writes instead. ``first``: code for what others do
    in its process before python begins. ``pass_fds`` are those of Popen.
    """
    if not (fresh or "COVERAGE_PROCESS_CONFIG" in env):
        return Process(list(args), cwd, env, pass_fds, patched, to, first)
    through = [sys.executable, "-ISc", first + EXECUTE] if first else []
    out, errors = to or (subprocess.PIPE, subprocess.PIPE)
    return subprocess.Popen(
        [*through, sys.executable, *args],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=errors,
        text=True,
        start_new_session=True,
        pass_fds=pass_fds,
    )


class Process:
    """A program that has been forked, leader of a session of its own: what tests use of Popen."""

    def __init__(self, args, cwd, env, pass_fds, patched, to, first):
        """``args``: what follows ``python`` on the command line."""
        self.args = [sys.executable, *args]
        self.returncode = None
        nursery = _nursery(patched or args[:2] == ["-m", "tests.patching"])
        request = {"args": args, "cwd": str(cwd), "environ": env, "first": first}
        request["fds"] = [1, 2, *pass_fds]
        self._reports, report = os.pipe()
        ends = [report]
        if to is None:
            (self.stdout, out), (self.stderr, errors) = _pipe(), _pipe()
            to = out, errors
            ends += to
        socket.send_fds(nursery, [json.dumps(request).encode()], [report, *to, *pass_fds])
        for fd in ends:
            native.close(fd)
        self.pid = self._number()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.communicate()

    def _number(self):
        data = os.read(self._reports, 8)
        assert data, "the nursery has ended"
        return int.from_bytes(data, sys.byteorder)

    def poll(self):
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self._reports], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = os.waitstatus_to_exitcode(self._number())
            native.close(self._reports)  # at once: tests count what is open
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=None):
        """What else it writes to its output and to standard error, which are closed then."""
        rest = {}

        def read(file):
            rest[file] = "" if file.closed else file.read()
            file.close()

        files = self.stdout, self.stderr
        threads = [threading.Thread(target=read, args=[file], daemon=True) for file in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout)
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(timeout)
        return tuple(rest[file] for file in files)


def _pipe():
    """A file to read, and a descriptor to write to."""
    fd, end = os.pipe()
    if native.is_patched():
        from gevent.fileobject import FileObject as opened  # others go on while one reads
    else:
        opened = open
    return opened(fd, "r"), end


def _breed(channel):
    """Fork whenever a request comes, and report how children end; return a request in the child."""
    reports = {}

    def reap(*args):
        for pid, report in list(reports.items()):
            with suppress(ChildProcessError):  # it has interrupted itself, and done more by then
                ended, status = native.waitpid(pid, os.WNOHANG)
                if ended and reports.pop(pid, None):
                    os.write(report, status.to_bytes(8, sys.byteorder))
                    native.close(report)

    set_signal = get_original("signal", "signal")
    before = set_signal(signal.SIGCHLD, reap)
    while True:
        data, ancillary, *_ = channel.recvmsg(1 << 18, _socket.CMSG_SPACE(64 * 4))
        if not data:
            return None
        report, *fds = array.array("i", ancillary[0][2])
        pid = native.fork()
        if pid == 0:
            set_signal(signal.SIGCHLD, before)
            channel.close()
            for fd in report, *reports.values():
                native.close(fd)
            return json.loads(data), fds
        for fd in fds:
            native.close(fd)
        os.write(report, pid.to_bytes(8, sys.byteorder))
        reports[pid] = report
        reap()  # which may have been too early for it


def _arrange(fds, places):
    """Have the descriptors at these places."""
    import fcntl

    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, max(places) + 1) for fd in fds]
    for fd in fds:
        native.close(fd)
    for fd, place in zip(moved, places):
        os.dup2(fd, place)
        native.close(fd)


def _become(request, fds):
    """Be what python is when it has read this command line; return the rest of that."""
    os.setsid()
    _arrange(fds, request["fds"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environ"])
    # A shell may have had the tests ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    exec(request["first"], {})
    _open_output()
    args = request["args"]
    while args[0] == "-W":
        warnings.filterwarnings("error", category=RuntimeWarning)
        # What has been imported here before a program patches it is not the program's fault.
        warnings.filterwarnings("ignore", category=MonkeyPatchWarning)
        del args[:2]
    if args[:2] == ["-m", "tests.patching"]:
        del args[:2]
    return args


def _open_output():
    """Have the standard output that python would have."""
    encoding = os.environ.get("PYTHONIOENCODING")
    buffering = 1 if os.environ.get("PYTHONUNBUFFERED") else -1
    try:
        os.fstat(1)
    except OSError:
        sys.stdout = sys.__stdout__ = None
    else:
        if encoding or buffering == 1:
            sys.stdout = sys.__stdout__ = open(1, "w", buffering, encoding=encoding, closefd=False)


def _run(args, base):
    """Run the program of a command line; ``base`` is the path to what is installed."""
    kind = args.pop(0) if args[0] in ("-c", "-m", "--module") else None
    first = os.getcwd() if kind else os.path.dirname(os.path.abspath(args[0]))
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [first, *dict.fromkeys([*map(os.path.abspath, filter(None, paths)), *base])]
    sys.argv = args
    if kind == "-c":
        code, args[0] = args[0], "-c"
        module = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), vars(module))
    elif kind:
        runpy.run_module(args[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(args[0], run_name="__main__")


def main():
    base = sys.path[2:]  # behind the folder where this runs, and PYTHONPATH
    if program := os.environ.get(PROGRAM):
        os.chdir(os.path.dirname(program))
        return _run([program], base)
    if native.fork():
        os._exit(0)  # a nursery is nobody's child, because tests count theirs
    channel = _socket.socket(fileno=int(sys.argv[1]))
    channel.setblocking(True)  # gevent has made it otherwise in patched tests
    for name in IMPORTED.split():
        with suppress(ImportError):
            __import__(name)
    # A child that looked through all of this would have to copy it.
    gc.collect()
    gc.freeze()
    if begun := _breed(channel):
        _run(_become(*begun), base)


if __name__ == "__main__":
    main()
