"""What cannot be done is said in one line, before anything starts, and the exit status is 2."""

import errno
import os
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import greensock
from greensock.cli import main
from tests.commands import command, complaint_of, python

pytestmark = pytest.mark.worldless

HANDLERS = '''
import asyncio, socketserver
import greensock


class Lines(socketserver.StreamRequestHandler):
    pass


class Packets(greensock.DatagramRequestHandler):
    pass


class Outer:
    inner = 3


class Site(socketserver.TCPServer):
    pass


def one(argument):
    pass


async def later(sock, address):
    pass


number = 3


class Verbose(dict):
    def __repr__(self):
        return "many\\n" * 1000


verbose = Verbose()
'''


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty directory that modules are imported from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    (tmp_path / "handlers_cli.py").write_text(HANDLERS)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def complaint(capsys):
    """A function that runs a command line which fails and returns what that writes."""

    return lambda *args: complaint_of(capsys, *args)


COMMAND_LINES = {
    "": "the following arguments are required: COMMAND; see 'greensock --help'",
    "swerve": "argument COMMAND: invalid choice: 'swerve'",
    "serve": "the following arguments are required: MODULE:HANDLER; see 'greensock serve --help'",
    "serve handlers_cli:Lines --model threads": "argument --model: invalid choice: 'threads'",
    "serve handlers_cli:Lines --model prefork": "argument --model: worker processes come with "
    "--workers cores or a number; see 'greensock serve --help'",
    "serve handlers_cli:Lines --werkers 2": "unrecognized arguments: --werkers 2; see 'greensock "
    "serve --help'",
    "--werkers 2 serve handlers_cli:Lines": "see 'greensock --help'",
    "serve handlers_cli:Lines --drain-timeout soon": "argument --drain-timeout: 'soon' is neither "
    "a number of seconds nor 'none'; see 'greensock serve --help'",
    "serve handlers_cli:Lines --drain-timeout -1": "argument --drain-timeout: ",
    "serve handlers_cli:Lines --drain-timeout nan": "'nan' is neither a number",
    "serve handlers_cli:Lines --ready-lag -1": "argument --ready-lag: '-1' is no number of "
    "seconds, 0 or more; see ",
    "serve handlers_cli:Lines --log-level loud": "argument --log-level: invalid choice: 'loud'",
    "serve handlers_cli:Lines --bind 9000": "'9000' is no endpoint: write tcp://HOST:PORT, ",
    "serve handlers_cli:Lines --bind tcp://localhost": "'tcp://localhost' has no port: ",
    "serve handlers_cli:Lines --bind tcp://[::1:80": "without brackets: write tcp://[::1]:80",
    "serve handlers_cli": "'handlers_cli' names no handler: write MODULE:HANDLER, as in ",
    "serve :Lines": "':Lines' names no handler",
    "serve handlers_cli.py:Lines": "'handlers_cli.py' is no module name: write chat for chat.py",
    "serve .handlers_cli:Lines": "'.handlers_cli' is no module name",
    "serve nowhere.to.be:Lines": "there is no module 'nowhere', neither in ",
    "serve handlers_cli.sub:Lines": "there is no module 'handlers_cli.sub', neither in ",
    "serve handlers_cli:Line": "'handlers_cli' has no 'Line'; it defines Lines, Packets, Outer, "
    "Site, one, later",
    "serve handlers_cli:Outer.Lines": "'handlers_cli.Outer' has no 'Lines'",
    "serve handlers_cli:number.Lines": "'handlers_cli.number' has no 'Lines'",
    "serve handlers_cli:number": "handlers_cli:number handles no requests, it is 3: name a handler "
    "class, such as a StreamRequestHandler, or a function of (request, client_address, server) "
    "or of (socket, address)",
    "serve handlers_cli:verbose": "handlers_cli:verbose handles no requests, it is many many "
    "many many many man...any many many many many many: name a handler class",
    "serve handlers_cli:one": "handlers_cli:one handles no requests, it is <function one at ",
    "serve handlers_cli:later": "handlers_cli:later handles no requests, it is <function later at ",
    "serve handlers_cli:Site": "handlers_cli:Site is a server, and --bind and --model make one "
    "that suits them: name a handler class, ",
    "serve handlers_cli:Lines --bind udp://127.0.0.1:0": "Lines handles connections, and "
    "udp://127.0.0.1:0 brings datagrams: bind it to tcp:// or unix:, or make it a Datagram",
    "serve handlers_cli:Packets --bind unix:packets": "Packets handles datagrams, and unix:packets "
    "brings connections: bind it to udp:// or unixgram:, or make it a StreamRequestHandler",
    "serve handlers_cli:Lines --bind tcp://nowhere.invalid:0": "cannot listen at "
    "tcp://nowhere.invalid:0: host 'nowhere.invalid' is not known (",
    "serve handlers_cli:Lines --bind tcp://two..dots:0": "host 'two..dots' is not known (",
    "serve handlers_cli:Lines --bind tcp://192.0.2.1:0": "cannot listen at tcp://192.0.2.1:0: "
    f"{os.strerror(errno.EADDRNOTAVAIL)}; this machine has none such; ",
    "serve handlers_cli:Lines --bind unix:no/where": "cannot listen at unix:no/where: "
    f"{os.strerror(errno.ENOENT)}; its directory does not exist",
    "serve handlers_cli:Lines --bind unix:handlers_cli.py": "cannot listen at "
    f"unix:handlers_cli.py: {os.strerror(errno.EADDRINUSE)}; what is there is no socket: remove it",
    f"serve handlers_cli:Lines --bind unix:{'x' * 200}": "AF_UNIX path too long",
    "serve handlers_cli:Lines --bind fd://99999": "cannot listen at fd://99999: it is not an open "
    f"socket ([Errno 9] {os.strerror(errno.EBADF)}); pass a socket that listens or ",
    "serve handlers_cli:Lines --bind fd://99999999999999999999": "it is not an open socket (",
    "serve handlers_cli:Lines --max-connections 0": "argument --max-connections: '0' is neither a "
    "whole number above 0 nor 'none'; see ",
    "serve handlers_cli:Lines --max-connections-per-peer 1.5": "'1.5' is neither a whole number",
    "serve handlers_cli:Lines --accept-rate 0": "'0' is neither a number above 0 nor 'none'",
    "serve handlers_cli:Lines --accept-rate inf": "'inf' is neither a number above 0 nor 'none'",
    "serve handlers_cli:Lines --idle-timeout 0": "'0' is neither a number of seconds above 0 nor ",
    "serve handlers_cli:Lines --overload wait": "argument --overload: invalid choice: 'wait'",
    r"serve handlers_cli:Lines --overload-reply busy\q": r"has '\\q' in it: write \r, \n, ",
    "serve handlers_cli:Lines --unix-mode 999": "'999' is no file mode: write three octal digits, "
    "as in 660",
    "serve handlers_cli:Lines --unix-owner :": "unix_owner is ':'; give 'user', ",
    "serve handlers_cli:Lines --unix-owner 99999999999999999999": "the highest id is 4294967294",
    "serve handlers_cli:Lines --unix-owner :4294967295": "the highest id is 4294967294",
    "serve handlers_cli:Lines --unix-owner no-such-user": "there is no user 'no-such-user'",
    "serve handlers_cli:Lines --tls-key key.pem": "--tls-key is of no use without --tls-cert",
    "serve handlers_cli:Lines --tls-client-ca ca": "--tls-client-ca is of no use without --tls-",
    "serve handlers_cli:Lines --implicit-tls": "--[no-]implicit-tls is of no use without --tls-",
    "serve handlers_cli:Lines --no-implicit-tls": "--[no-]implicit-tls is of no use without --tls-",
    "serve handlers_cli:Lines --proxy-protocol required": "--proxy-protocol and --trusted-proxies "
    "are of no use without each other",
    "serve handlers_cli:Lines --trusted-proxies ::1": "--proxy-protocol and --trusted-proxies are",
    "serve handlers_cli:Lines --trusted-proxies 10.0.0.1/8": "'10.0.0.1/8' does not name networks",
    "serve handlers_cli:Lines --accept-burst 5": "--accept-burst is of no use without --accept-",
    "serve handlers_cli:Lines --overload-reply no --overload close": "--overload-reply is sent "
    "with --overload reject, and only then",
    "serve handlers_cli:Lines --max-connections 5 --model inline": "--max-connections is of no use "
    "with --model inline, which handles one connection at a time: choose another model",
    "serve handlers_cli:Lines --max-connections-per-peer 5 --model inline": "--model inline, which",
    "serve handlers_cli:Lines --reuse-greenlets --model thread": "--[no-]reuse-greenlets is of no "
    "use with --model thread, which has no greenlets: leave it out, or choose --model greenlet",
    "serve handlers_cli:Packets --max-workers 5 --model fork --bind udp://127.0.0.1:0": "--max-"
    "workers is of no use with --model fork",
    "serve handlers_cli:Lines --max-workers 5": "--max-workers is for datagrams, as udp:// or "
    "unixgram: brings: there is none in tcp://127.0.0.1:9000",
    "serve handlers_cli:Packets --reuse-greenlets --bind udp://127.0.0.1:0": "--[no-]reuse-"
    "greenlets is for connections, as tcp:// or unix: brings",
    "serve handlers_cli:Lines --max-workers 0": "argument --max-workers: '0' is neither a whole",
    "serve handlers_cli:Lines --max-workers none": "argument --max-workers: 'none' would serve ",
    "serve handlers_cli:Packets --idle-timeout 5 --bind udp://127.0.0.1:0 --bind unixgram:g": "--"
    "idle-timeout is for connections, as tcp:// or unix: brings: there is none in "
    "udp://127.0.0.1:0, unixgram:g",
    "serve handlers_cli:Lines --unix-mode 660": "--unix-mode is for paths that are opened here, as "
    "unix:chat.sock: there is none in tcp://127.0.0.1:9000",
    "serve handlers_cli:Lines --unix-owner 0 --bind unix:@name": "--unix-owner is for paths that ",
    "serve handlers_cli:Lines --dual-stack --bind tcp://127.0.0.1:0": "--[no-]dual-stack is for "
    "IPv6 sockets that are opened here, as tcp://[::]:9000: there is none in tcp://127.0.0.1:0",
    "serve handlers_cli:Lines --bind systemd:web": "cannot listen at systemd:web: systemd has "
    "passed no socket, or no more, to this process: start the .socket unit, or try it with ",
    "run nowhere.py": "cannot read the script 'nowhere.py': "
    f"{os.strerror(errno.ENOENT)}",
    "run .": "there is no __main__.py in '.'",
    "run": "the following arguments are required: SCRIPT",
    "run -m": "the following arguments are required: SCRIPT",
}


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_wrong_command_line_is_answered_with_one_line(complaint, line):
    text = complaint(*line.split())
    assert COMMAND_LINES[line] in text
    assert "\n" not in text


NUMBERS = "--max-connections", "--accept-burst", "--idle-timeout", "--unix-owner", "--status"


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("option", NUMBERS)
def test_a_number_that_is_too_long_is_told(complaint, option, digits):
    """Longer than a float can be, or than Python reads."""
    number = digits * "9"
    args = "--bind", "unix:bound", "--accept-rate", "1", option, number
    text = complaint("serve", "handlers_cli:Lines", *args)
    assert option in text and number in text
    assert "\n" not in text


def test_a_status_without_an_address_is_told(complaint):
    """As when a variable of a shell was never set."""
    text = complaint("serve", "handlers_cli:Lines", "--bind", "unix:bound", "--status", "")
    assert text.startswith("--status: '' has no port from 0 to 65535: write PORT for 127.0.0.1, ")
    assert not Path("bound").exists()


def test_an_access_log_on_a_closed_output_is_told(complaint, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    text = complaint("serve", "handlers_cli:Lines", "--bind", "unix:bound", "--access-log", "-")
    assert "--access-log - means standard output, which is closed: name a file" == text
    assert not Path("bound").exists()


@contextmanager
def pretending(owner, name, error):
    def fail(*args):
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, fail)
        yield


@pytest.mark.parametrize(
    "endpoint, remedy",
    [
        ("tcp://127.0.0.1:80", "ports below 1024 need privileges; or pass a socket that is open"),
        ("udp://127.0.0.1:80", "ports below 1024 need privileges; or pass a socket that is open"),
        ("unix:sock", "the directory must be writable"),
        ("unixgram:sock", "the directory must be writable"),
    ],
)
def test_a_denied_permission_is_answered_with_what_is_needed(complaint, endpoint, remedy):
    """The denial is made up, since these tests may run as root."""
    Path("plain_cli.py").write_text("def handler(request, client_address, server): ...")
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with pretending(greensock.TCPServer, "server_bind", denied):
        text = complaint("serve", "plain_cli:handler", "--bind", endpoint)
    assert text.startswith(f"cannot listen at {endpoint}: {denied.strerror}; {remedy}")


@pytest.mark.parametrize("kind, scheme", [(socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")])
def test_a_port_in_use_is_told(complaint, kind, scheme):
    """For datagrams, too, where sharing the port would be possible."""
    handler = {"tcp": "Lines", "udp": "Packets"}[scheme]
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if scheme == "tcp":
            other.listen()
        endpoint = f"{scheme}://127.0.0.1:{other.getsockname()[1]}"
        text = complaint("serve", f"handlers_cli:{handler}", "--bind", endpoint)
    reason = os.strerror(errno.EADDRINUSE)
    expected = f"{endpoint}: {reason}; end whatever listens there, or choose another place"
    assert f"cannot listen at {expected}" == text


def test_port_9000_of_this_machine_is_the_default(complaint):
    """It is in use in this test only."""
    in_use = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    with pretending(greensock.TCPServer, "server_bind", in_use):
        text = complaint("serve", "handlers_cli:Lines")
    assert text.startswith(f"cannot listen at tcp://127.0.0.1:9000: {in_use.strerror}; ")


def test_what_was_opened_is_closed_when_another_fails(complaint):
    binds = "--bind", "unix:first", "--bind", "unix:no/second"
    assert "unix:no/second" in complaint("serve", "handlers_cli:Lines", *binds)
    assert not Path("first").exists()


@pytest.mark.parametrize(
    "kind, what",
    [
        (socket.SOCK_STREAM, "a connection already"),
        (socket.SOCK_SEQPACKET, "another kind of socket"),
    ],
)
def test_a_socket_that_suits_no_server_is_told_and_stays_open(complaint, kind, what):
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    with one, other:
        endpoint = f"fd://{one.fileno()}"
        expected = "pass a socket that listens or that receives datagrams"
        expected = f"cannot listen at {endpoint}: it is {what}; {expected}"
        assert expected == complaint("serve", "handlers_cli:Lines", "--bind", endpoint)
        one.send(b"still open")
        assert b"still open" == other.recv(100)


def test_a_descriptor_that_is_no_socket_is_told(complaint):
    with open(os.devnull) as file:
        text = complaint("serve", "handlers_cli:Lines", "--bind", f"fd://{file.fileno()}")
    assert f"it is not an open socket ([Errno {int(errno.ENOTSOCK)}] " in text


BROKEN = {
    "import no_such_thing_cli": (1, "ModuleNotFoundError: No module named 'no_such_thing_cli'"),
    "import json\ndef f():\n    json.loads('a')\nf()": (3, "json.decoder.JSONDecodeError: "),
    "a b c": (1, "SyntaxError: invalid syntax"),
    "raise SystemExit(7)": (1, "SystemExit: 7"),
    "raise ValueError('one\\ntwo')": (1, "ValueError: one two"),
}


@pytest.mark.parametrize("code", BROKEN)
def test_one_line_says_what_a_module_raises_and_where(complaint, here, code):
    path = here / "broken_cli.py"
    path.write_text(code)
    line, error = BROKEN[code]
    text = complaint("serve", "broken_cli:Handler")
    assert text.startswith(f"importing 'broken_cli' ended in {path}, line {line}, with {error}")
    assert text.endswith(f"; for the traceback: {sys.executable} -c 'import broken_cli'")
    assert "\n" not in text


SERVING = """
import greensock

class Echo(greensock.StreamRequestHandler):
    def handle(self):
        pass

class Server(greensock.{model}, greensock.TCPServer):
    workers = 1

with Server(("127.0.0.1", 0), Echo) as server:
    server.serve_forever()
"""


@pytest.mark.parametrize("options", ["", "--workers 1"])
@pytest.mark.parametrize("model", ["GreenletMixIn", "PreforkMixIn"])
def test_a_module_that_serves_when_it_is_imported_is_told(here, model, options):
    """In a process of its own, which would serve for ever otherwise."""
    (here / "serving_cli.py").write_text(SERVING.format(model=model))
    status, out, err = command("serve", "serving_cli:Echo", *options.split(), cwd=here)
    told = "greensock: importing 'serving_cli' called serve_forever(): put that under "
    assert (2, "", True, 1) == (status, out, err.startswith(told), err.count("\n"))


def test_ctrl_c_during_an_import_ends_it_without_a_word(here, capsys):
    (here / "slow_cli.py").write_text("raise KeyboardInterrupt")
    assert 130 == main(["serve", "slow_cli:Handler"])
    assert ("", "") == capsys.readouterr()


def test_it_says_where_the_project_called_a_library(complaint, here):
    (here / "broken_cli.py").write_text("import part_cli")
    (here / "part_cli.py").write_text("import json\n\njson.loads('a')")
    text = complaint("serve", "broken_cli:Handler")
    assert text.startswith(f"importing 'broken_cli' ended in {here / 'part_cli.py'}, line 3, with ")


def test_the_process_exits_with_status_2(here):
    """Both ways of starting it, with nothing on standard output."""
    code = "import sys; from greensock.__main__ import command; sys.exit(command())"
    for way in ["-m", "greensock"], ["-c", code]:
        options = {"measured": True, "fresh": way[0] == "-c"}
        status, out, errors = python(*way, "serve", "nowhere:Lines", cwd=here, **options)
        assert (2, "") == (status, out)
        assert errors.startswith("greensock: there is no module 'nowhere', neither in ")
        assert 1 == errors.count("\n")


def test_version_is_told(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    expected = f"greensock {greensock.__version__}\n"
    assert (0, expected) == (caught.value.code, capsys.readouterr().out)


@pytest.mark.parametrize("command", ["", "serve", "run", "ctl"])
def test_help_names_every_part(capsys, command):
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), "--help"])
    assert 0 == caught.value.code
    parts = {
        "": ["serve", "run", "ctl", "--version"],
        "ctl": ["status", "reload", "drain", "add", "remove", "reopen", "kick", "--control"],
        "serve": ["MODULE:HANDLER", "--bind", "unixgram:", "--model", "--drain", "--workers"],
        "run": ["SCRIPT", "-m MODULE", "ARGS"],
    }
    text = capsys.readouterr().out
    assert [] == [part for part in parts[command] if part not in text]
