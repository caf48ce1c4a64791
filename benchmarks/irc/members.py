"""IRC clients for a load: many in one process, which read whatever comes."""

import selectors
import socket
import time

from ..processes import Failed


class Member:
    """One client. ``hear(line)`` is called for each line that comes, if it is set.

    ``lines``: how many have come. ``server``: the name of the one it is at, once it is in.
    """

    def __init__(self, port, nick):
        self.nick = nick
        self.sock = socket.create_connection(("127.0.0.1", port), 60)
        self.sock.setblocking(False)
        self.hear = None
        self.server = b""
        self.lines = 0
        self._rest = b""

    def say(self, text):
        data = f"{text}\r\n".encode()
        if self.sock.send(data) != len(data):
            raise Failed(f"{self.nick} could not send a line")

    def read(self):
        """Take what has come."""
        data = self.sock.recv(1 << 18)
        if not data:
            raise Failed(f"{self.nick} was hung up on")
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if line[:5] == b"PING ":
                self.say("PONG")
                continue
            self.lines += 1
            if self.hear is not None:
                self.hear(line)


class Crowd:
    """All members, and one selector for them."""

    def __init__(self):
        self._selector = selectors.EpollSelector()
        self.members = []

    def __enter__(self):
        return self

    def __exit__(self, *args):
        for member in self.members:
            member.sock.close()
        self._selector.close()

    def add(self, member):
        self._selector.register(member.sock, selectors.EVENT_READ, member)
        self.members.append(member)

    def enter(self, port, nick, room):
        """A new member, in the room once ``wait`` says so."""
        member = Member(port, nick)
        member.is_in = False

        def hear(line):
            if b" 001 " in line:
                member.server = line.split(b" ", 1)[0].lstrip(b":")
            elif b" 366 " in line:
                member.is_in = True
                member.hear = None

        member.hear = hear
        self.add(member)
        member.say(f"NICK {nick}\r\nUSER load 0 * :load\r\nJOIN {room}")
        return member

    def remove(self, member):
        self._selector.unregister(member.sock)
        self.members.remove(member)
        member.sock.close()

    def read(self, seconds):
        """Let members read what there is, or comes within so many seconds; whether it was any."""
        ready = self._selector.select(max(0.0, seconds))
        for key, _ in ready:
            key.data.read()
        return bool(ready)

    def wait(self, is_so, what, patience=120):
        """Read until that is so."""
        ends = time.monotonic() + patience
        while not is_so():
            if time.monotonic() > ends:
                raise Failed(f"after {patience} s {what}")
            self.read(0.1)
