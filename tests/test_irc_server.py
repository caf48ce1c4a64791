"""IRC over sockets, under each model."""

import signal
import socket

import pytest

from examples.irc.__main__ import listen_to_signals
from examples.irc.network import Settings
from examples.irc.server import Client, hall_class
from tests import programs, tls
from tests.helpers import LOCAL, connect, rest, served, wait_until

MODELS = ["greenlet", "thread"]


class Chatter(programs.Client):
    """An IRC client over a socket."""

    def say(self, *lines):
        self.send("".join(f"{line}\r\n" for line in lines).encode())
        return self

    def enter(self, nick, *lines, end=" 422 "):
        self.say(f"NICK {nick}", f"USER {nick} 0 * :{nick}", *lines)
        self.hear(end)
        return self

    def hear(self, text):
        """The next line that has ``text`` in it."""
        while text not in (line := self.line().decode()):
            assert line, f"{text!r} was never said"
        return line.rstrip("\r\n")


@pytest.fixture(params=MODELS)
def hall(request):
    """A class of servers for people who say much."""
    return type("Hall", (hall_class(request.param),), {"settings": Settings(rate=0)})


def test_who_is_in_a_channel_hears_what_is_said(hall):
    with served(hall(LOCAL, Client)) as server:
        address = server.server_address
        with Chatter.connect(address) as ann, Chatter.connect(address) as bob:
            ann.enter("Ann", "JOIN #x").hear(" 366 ")
            bob.enter("Bob", "JOIN #x").hear(" 366 ")
            ann.hear(":Bob!Bob@127.0.0.1 JOIN #x")
            ann.send(b"PRIVMSG #x :in ")
            ann.send(b"pieces\nPRIVMSG #x :")
            bob.hear("Ann!Ann@127.0.0.1 PRIVMSG #x :in pieces")
            ann.send(b"and whole\r\n")
            bob.hear("PRIVMSG #x :and whole")
            bob.say("QUIT :bye")
            assert "ERROR :Closing Link: 127.0.0.1 (Quit: bye)" == bob.hear("ERROR")
            assert b"" == bob.line()
            ann.hear(":Bob!Bob@127.0.0.1 QUIT :Quit: bye")
            with Chatter.connect(address) as carl:
                carl.enter("Carl", "JOIN #x").hear(" 366 ")
                carl.reset()
            ann.hear(":Carl!Carl@127.0.0.1 QUIT :Connection closed")
            ann.send(b"x" * 10_000 + b"\n")
            ann.hear(" 417 Ann :Input line was too long")


def test_who_does_not_read_is_shown_out(hall):
    """And others are told why."""
    hall.send_buffer = 10_000
    server = hall(LOCAL, Client)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)  # for all it accepts
    with served(server):
        with Chatter.connect(server.server_address) as ann:
            ann.enter("Ann", "JOIN #x").hear(" 366 ")
            with Chatter.connect(server.server_address) as deaf:
                deaf.enter("Deaf", "JOIN #x").hear(" 366 ")
                ann.hear("JOIN")
                while b"QUIT" not in (line := ann_hears(ann)):
                    assert line
                assert b":Deaf!Deaf@127.0.0.1 QUIT :SendQ exceeded\r\n" == line


def ann_hears(ann):
    """Much is said; the first line that comes of it."""
    ann.say(*[f"PRIVMSG #x :{'x' * 400}"] * 100, "PING x")
    line = b""
    while b"QUIT" not in line and b"PONG" not in line:
        line = ann.line()
    return line


def test_tls_is_seen(hall):
    hall.ssl_context = tls.shared_server_context()
    with served(hall(LOCAL, Client)) as server:
        with tls_client(server) as ann:
            ann.enter("Ann", "WHOIS ann")
            ann.hear(" 671 Ann Ann :is using a secure connection")
            ann.say("QUIT").hear("ERROR")
            assert b"" == ann.line()


def tls_client(server):
    sock = socket.create_connection(server.server_address, timeout=30)
    return Chatter(tls.shared_client_context().wrap_socket(sock, server_hostname="localhost"))


def test_all_are_told_that_the_server_ends(hall):
    with served(hall(LOCAL, Client)) as server, Chatter.connect(server.server_address) as ann:
        ann.enter("Ann", "JOIN #x").hear(" 366 ")
        assert [] == server.drain()
        ann.hear("ERROR :Closing Link: 127.0.0.1 (Server is shutting down)")
        assert b"" == ann.line()


def test_silence_holds_no_greenlet():
    hall = type("Hall", (hall_class("greenlet"),), {})
    with served(hall(LOCAL, Client)) as server, Chatter.connect(server.server_address) as ann:
        ann.enter("Ann")
        wait_until(lambda: ["parked"] == [each.state for each in server.connections])
        ann.send(b"PI")
        wait_until(lambda: ["parked"] == [each.state for each in server.connections])
        ann.say("NG x").hear("PONG")


def test_a_signal_may_come_at_any_moment():
    """Even to who has locked the network at that, which all are told in."""
    with served(hall_class("greenlet")(LOCAL, Client), "greenlet") as server:
        with connect(server) as client:
            wait_until(lambda: server.connections)
            ends = signal.SIGINT, signal.SIGTERM
            before = {number: signal.getsignal(number) for number in ends}
            try:
                listen_to_signals(server)
                with server.network.lock:
                    signal.raise_signal(signal.SIGTERM)
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
            assert b"(Server is shutting down)" in rest(client)
