"""IRC clients that others have written: they find what they expect."""

import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress

import irc.client
import irc.connection
import pytest

from examples.irc.network import Settings
from examples.irc.server import Client, hall_class
from tests import tls
from tests.helpers import LOCAL, PATIENCE, served, wait_until
from tests.test_irc_server import Chatter

needs_ii = pytest.mark.skipif(
    shutil.which("ii") is None, reason="there is no ii here: apt-get install ii"
)


@pytest.fixture
def hall():
    settings = Settings("Example", motd=["Be kind."], password="secret", rate=0)
    return type("Hall", (hall_class("greenlet"),), {"settings": settings})


class Robot:
    """A client of the package irc, which notes what it hears."""

    def __init__(self, address, nick, **how):
        self.reactor = irc.client.Reactor()
        self.connection = self.reactor.server()
        self.heard = []
        self.connection.add_global_handler("all_events", self.note)
        self.connection.connect(*address, nick, password="secret", **how)

    def note(self, connection, event):
        self.heard.append((event.type, event.target, *event.arguments))

    def hear(self, kind, *about):
        """Wait for an event that begins so; return it."""
        ends = time.monotonic() + PATIENCE
        while True:
            for event in self.heard:
                if event[: len(about) + 1] == (kind, *about):
                    return event
            assert time.monotonic() < ends, self.heard
            self.reactor.process_once(0.05)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_the_package_irc(hall, secure):
    """All that its API has a method for, and that this server knows."""
    how = {}
    if secure:
        hall.ssl_context = tls.server_context()
        context = tls.client_context()
        how["connect_factory"] = irc.connection.Factory(
            wrapper=lambda sock: context.wrap_socket(sock, server_hostname="localhost")
        )
    with served(hall(LOCAL, Client)) as server, ExitStack() as stack:
        ann, bob = (Robot(server.server_address, nick, **how) for nick in ("Ann", "Bob"))
        for robot in ann, bob:
            stack.callback(robot.connection.close)
        for robot in ann, bob:
            robot.hear("welcome")
            robot.hear("motd", robot.connection.get_nickname(), "- Be kind.")
            assert "Example" == robot.connection.features.network
        ann.connection.join("#x")
        ann.hear("endofnames", "Ann", "#x")
        bob.connection.join("#x")
        ann.hear("join", "#x")
        assert ("namreply", "Bob", "=", "#x", "@Ann Bob") == bob.hear("namreply")
        ann.connection.topic("#x", "Weather")
        bob.hear("topic", "#x", "Weather")
        ann.connection.privmsg("#x", "hello")
        bob.hear("pubmsg", "#x", "hello")
        bob.connection.action("Ann", "waves")
        ann.hear("action", "Ann", "waves")
        bob.connection.notice("Ann", "psst")
        ann.hear("privnotice", "Ann", "psst")
        ann.connection.mode("#x", "+o Bob")
        bob.hear("mode", "#x", "+o", "Bob")
        ann.connection.whois(["Bob"])
        assert "127.0.0.1" == ann.hear("whoisuser", "Ann", "Bob")[4]
        ann.hear("endofwhois")
        ann.connection.ison(["bob", "carl"])
        ann.hear("ison", "Ann", "Bob")
        ann.connection.list()
        ann.hear("list", "Ann", "#x", "2", "Weather")
        ann.connection.kick("#x", "Bob", "enough")
        bob.hear("kick", "#x", "Bob", "enough")
        ann.connection.invite("Bob", "#x")
        bob.hear("invite", "Bob", "#x")
        bob.connection.nick("Rob")
        bob.hear("nick", "Rob")
        bob.connection.quit("bye")
        bob.hear("error")
        bob.hear("disconnect")


@contextmanager
def ii(folder, address, nick):
    """An ii: the folder in which it has a pipe to write to and a file of what it hears."""
    host, port = map(str, address)
    command = ["ii", "-s", host, "-p", port, "-i", str(folder), "-n", nick, "-k", "IRC_PASSWORD"]
    process = subprocess.Popen(command, env={"IRC_PASSWORD": "secret"}, stdout=subprocess.DEVNULL)
    place = folder / host
    try:
        wait_until((place / "in").exists)
        yield place
    finally:
        process.kill()
        process.wait()


def text_of(file):
    with suppress(FileNotFoundError):
        return file.read_text()
    return ""


@needs_ii
def test_ii(hall, tmp_path):
    with served(hall(LOCAL, Client)) as server:
        address = server.server_address
        with ii(tmp_path, address, "iian") as place, Chatter.connect(address) as ann:
            ann.say("PASS secret").enter("Ann", "JOIN #x", end=" 376 ").hear(" 366 ")
            wait_until(lambda: "Be kind." in text_of(place / "out"))
            (place / "in").write_text("/j #x\n")
            ann.hear(":iian!iian@127.0.0.1 JOIN #x")
            room = place / "#x"
            wait_until((room / "in").exists)
            (room / "in").write_text("hello from ii\n")
            ann.hear("iian!iian@127.0.0.1 PRIVMSG #x :hello from ii")
            ann.say("PRIVMSG #x :hello, ii")
            wait_until(lambda: "<Ann> hello, ii" in text_of(room / "out"))
            ann.say("PRIVMSG iian :just you")
            wait_until(lambda: "<Ann> just you" in text_of(place / "ann" / "out"))
            (room / "in").write_text("/t Weather\n")
            ann.say("MODE #x -t").hear("MODE #x -t")
            (room / "in").write_text("/t Weather\n")
            ann.hear("TOPIC #x :Weather")
            (place / "in").write_text("/q so long\n")
            ann.hear(":iian!iian@127.0.0.1 QUIT :Quit: so long")
