"""Somebody on an IRC network without sockets, who says lines and keeps those that they hear."""

from examples.irc.network import Network, Settings


class Clock:
    """Shows the time that a test sets."""

    def __init__(self, seconds=1_000_000_000.0):
        self.seconds = seconds

    def __call__(self):
        return self.seconds


class Person:
    """A connection of its own and the session with it; ``heard`` is what was said to it."""

    is_secure = False

    def __init__(self, network, host="10.0.0.1"):
        self.host = host
        self.heard = []
        self.has_ended = False
        self.session = network.welcome(self)

    def post(self, data):
        assert not self.has_ended and data.endswith(b"\r\n")
        self.heard += data.decode(errors="surrogateescape").split("\r\n")[:-1]
        return True

    def end(self):
        self.has_ended = True

    def say(self, *lines):
        """Say the lines; return what was heard until then and since the last time."""
        for line in lines:
            self.session.receive(line.encode(errors="surrogateescape"))
        heard, self.heard = self.heard, []
        return heard


def network(clock=None, **settings):
    """A network of one server, irc.example, without flood control unless it is asked for."""
    settings.setdefault("rate", 0)
    return Network("irc.example", "0ab", Settings("Example", **settings), now=clock or Clock())


def person(network, nick, *lines, **how):
    """Somebody who has registered, has said ``lines``, and has heard enough of that."""
    someone = Person(network, **how)
    someone.say(f"NICK {nick}", f"USER {nick} 0 * :{nick.title()}", *lines)
    return someone
