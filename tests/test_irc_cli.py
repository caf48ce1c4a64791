"""``python -m examples.irc``: what it says when it cannot serve, and several processes that do."""

import itertools
import re
import socket
import sys
from contextlib import ExitStack

import pytest
from wsproto.events import CloseConnection

from examples.irc.__main__ import main
from examples.irc.options import parse
from tests.commands import ROOT, python
from tests.helpers import needs_redis
from tests.programs import running
from tests.redis_server import running as redis_running
from tests.test_irc_server import Chatter
from tests.test_irc_web import Visitor

pytestmark = pytest.mark.worldless

NOTES = r"irc: \S+ (has joined the network|is split from the network: it has ended)"


@pytest.mark.parametrize(
    "args, error",
    [
        (["--bind", "x"], "argument --bind: 'x' has no port from 0 to 65535: .*"),
        (["--model", "fork"], "argument --model: invalid choice: 'fork' .*"),
        (["--model", "prefork"], "--model prefork takes --bus redis://.*"),
        (["--workers", "2"], "--workers are of no use without --model prefork"),
        (["--bus", "local"], "argument --bus: a local bus reaches nobody; .*"),
        (["--tls-cert", "/nowhere"], "--tls-cert /nowhere: .* No such file or directory"),
        (["--tls-key", "x"], "--tls-key is of no use without --tls-cert"),
        (["--flood", "many"], "argument --flood: 'many' is not BURST:RATE, as 20:2, .*"),
        (["--name", "x"], "argument --name: 'x' is not a host name, as irc.example"),
        (["--motd", "/nowhere"], r"argument --motd: \[Errno 2\] .*: '/nowhere'"),
    ],
)
def test_options_that_make_no_sense_are_told_in_one_line(args, error, capsys):
    with pytest.raises(SystemExit) as end:
        main(args)
    assert 2 == end.value.code
    assert re.fullmatch(f"irc: {error}\n", capsys.readouterr().err)


@pytest.mark.parametrize("option", ["--bind", "--web"])
def test_a_port_in_use_is_told_in_one_line(option):
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SystemExit) as end:
            main(["--bind", "127.0.0.1:0", option, where])
    assert f"irc: cannot listen on {where}: Address already in use" == end.value.code


def test_a_redis_that_is_not_there_is_told_in_one_line(capsys):
    assert 1 == main(["--bus", "redis://127.0.0.1:1/0"])
    error = "irc: Redis at redis://127.0.0.1:1/0 cannot be used: .*\n"
    assert re.fullmatch(error, capsys.readouterr().err)


def test_accounts_are_made_and_read(capsys, tmp_path):
    assert 0 == main(["--hash", "ann", "secret"])
    file = tmp_path / "accounts"
    file.write_text(capsys.readouterr().out)
    accounts = parse(["--accounts", str(file)]).settings.accounts
    assert "ann" == accounts.account_of(b"ann", b"secret")
    assert accounts.account_of(b"ann", b"guess") is None


@needs_redis
def test_workers_are_servers_of_one_network(tmp_path):
    """Who is at one hears what is said at the other; there are as many of each as one needs."""
    with redis_running(tmp_path) as redis:
        options = "--model", "prefork", "--workers", "2", "--bus", redis.url, "--flood", "50:0"
        args = "-m", "examples.irc", "--bind", "127.0.0.1:0", "--name", "irc.example", *options
        with running(*args, log=NOTES) as address:
            people = {}
            nicks = (f"n{number}" for number in itertools.count())
            while len(people) < 2:  # the system deals them out by chance
                # None twice: the other server may not know yet that whoever had it has gone.
                someone = Chatter.connect(address).say(f"NICK {next(nicks)}", "USER x 0 * :X")
                name = someone.hear(" 001 ").partition(" ")[0]
                if name in people:
                    someone.say("QUIT").hear("ERROR")
                    someone.sock.close()
                else:
                    people[name] = someone
            assert {":irc-1.example", ":irc-2.example"} == set(people)
            ann, bob = people.values()
            ann.say("JOIN #x").hear(" 366 ")
            bob.say("JOIN #x").hear(" 366 ")
            ann.hear("!x@127.0.0.1 JOIN #x")
            bob.say("PRIVMSG #x :hello")
            ann.hear("!x@127.0.0.1 PRIVMSG #x :hello")
            for each in ann, bob:
                each.sock.close()


@pytest.mark.parametrize("model", ["thread", pytest.param("prefork", marks=needs_redis)])
def test_browsers_are_in_the_same_rooms(model, tmp_path):
    """Whichever process they have come to; and an origin of theirs may be let in."""
    options = "--bind", "127.0.0.1:0", "--web", "127.0.0.1:0", "--model", model
    args = "-m", "examples.irc", *options, "--web-origin", "https://chat.example"
    with ExitStack() as at_the_end:
        if model == "prefork":
            redis = at_the_end.enter_context(redis_running(tmp_path))
            args = "-m", "tests.patching", "--module", *args[1:]  # which forks other sockets
            args += "--workers", "2", "--bus", redis.url
        elsewhere, web = at_the_end.enter_context(running(*args, log=NOTES, places=2))
        ann = at_the_end.enter_context(Chatter.connect(elsewhere))
        ann.enter("Ann", "JOIN #x").hear(" 366 ")
        bob = Visitor(at_the_end.enter_context(socket.create_connection(web, timeout=30)))
        bob.enter(Origin="https://chat.example")
        bob.say("NICK Bob", "USER bob 0 * :Bob", "JOIN #x")
        ann.hear("JOIN #x")
        ann.say("PRIVMSG #x :hello")
        while not bob.hear().endswith("PRIVMSG #x :hello"):
            pass
        bob.say("PRIVMSG #x :hi")
        ann.hear("PRIVMSG #x :hi")
        bob.say(CloseConnection(1000))
        ann.hear(" QUIT ")


def test_a_signal_does_not_come_before_there_is_a_hub():
    """Its handler would make one of its own, if it came while that is made."""
    code = (
        "from gevent._hub_local import get_hub_if_exists\n"
        "from examples.irc.__main__ import listen_to_signals\n"
        "from examples.irc.server import Client, hall_class\n"
        "with hall_class('greenlet')(('127.0.0.1', 0), Client) as server:\n"
        "    assert get_hub_if_exists() is None\n"
        "    listen_to_signals(server)\n"
        "    assert get_hub_if_exists() is not None\n"
    )
    assert (0, "", "") == python("-c", code, cwd=ROOT)


def test_without_redis_py_a_bus_is_not_to_be_had(without_redis_py):
    with pytest.raises(SystemExit) as end:
        main(["--bus", "redis://127.0.0.1:1/0"])
    assert "irc: --bus takes redis: pip install 'greensock[redis]'" == end.value.code


def test_without_wsproto_a_page_is_not_to_be_had(monkeypatch):
    monkeypatch.setitem(sys.modules, "examples.irc.web", None)
    with pytest.raises(SystemExit) as end:
        main(["--bind", "127.0.0.1:0", "--web", "127.0.0.1:0"])
    assert "irc: --web takes wsproto: pip install 'greensock[examples]'" == end.value.code
