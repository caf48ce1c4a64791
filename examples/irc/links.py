"""How the processes of a network know of each other's users and channels.

Rule: what is said on the bus is bytes in and bytes out here; node.py has the bus. The network's
lock is held by whoever calls.

Theory of operation. What changes is said to all, in packets that each server numbers. A packet is

    :SID FROM name number target        target: * for all, or the sid of the one it is for
    :... what changes, a line each; see changes.py

BURST says that what follows is all that a server has: its own users, and the channels they are in.
ASK asks for that. A server that hears one it does not know asks it, and so it does if a number is
missing, because then it has missed something: it lets all users of that server go, which is what
people call a netsplit, until they come with the next burst. Who says nothing for SILENCE seconds
is let go, too, and BEAT is for those who have nothing to say. A packet that comes again is known
by its number, so that whoever is not sure whether it went out may send it once more.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from . import changes
from .contested import Contested
from .identities import introduction
from .people import Server
from .wire import Message, parse_any

EVERYBODY = "*"

# Seconds. A bus that is lost for less costs nothing but what it has lost.
BEAT = 2.0
SILENCE = 10.0

# Lines in a packet: so many are dealt with before anybody else has a turn.
MOST_LINES = 200


class _Peer:
    """Another server. ``number``: of its last packet; ``heard_at``: when that came."""

    __slots__ = ("server", "number", "heard_at")

    def __init__(self, server: Server, number: int, heard_at: float) -> None:
        self.server = server
        self.number = number
        self.heard_at = heard_at


class Link:
    """The other servers, as ``network`` knows them.

    ``wake()`` is called when there is something to ``take``, ``note(text)`` for operators to read.
    """

    def __init__(self, network: Any, wake: Callable[[], None] = lambda: None,
                 note: Callable[[str], None] = lambda text: None) -> None:  # fmt: skip
        self._network = network
        self._wake = wake
        self._note = note
        self._peers: dict[str, _Peer] = {}
        self._asked: dict[str, float] = {}
        self._out: deque[tuple[str, Message]] = deque()
        self._contested = Contested()
        self._number = 0
        self._took_at = network.now()

    @property
    def servers(self) -> list[Server]:
        """All that are known."""
        return [peer.server for peer in self._peers.values()]

    # To others

    def begin(self) -> None:
        """Say hello."""
        self._put(EVERYBODY, self._own("ASK"))
        self._burst(EVERYBODY)

    def say(self, message: Message) -> None:
        """Tell all others what has changed."""
        self._contested.note_said(message)
        self._put(EVERYBODY, message)

    def leave(self) -> None:
        """Say goodbye."""
        self._put(EVERYBODY, self._own("BYE"))

    def take(self) -> bytes | None:
        """The next packet to be sent; None if there is none."""
        if not self._out:
            return None
        self._number += 1
        self._took_at = self._network.now()
        target = self._out[0][0]
        lines = [self._own("FROM", self._network.me.name, str(self._number), target)]
        while self._out and self._out[0][0] == target and len(lines) <= MOST_LINES:
            lines.append(self._out.popleft()[1])
        if target == EVERYBODY:
            self._contested.note_sent(self._number, lines)
        return b"".join([message.tagged_line(None) for message in lines])

    def forget(self) -> None:
        """Nobody hears what is to be sent."""
        self._out.clear()
        self._contested.forget()

    def _own(self, command: str, *params: str) -> Message:
        return Message(command, params, self._network.me.sid)

    def _put(self, target: str, message: Message) -> None:
        self._out.append((target, message))
        self._wake()

    def _burst(self, target: str) -> None:
        for message in (self._own("BURST"), *self._all_there_is()):
            self._put(target, message)

    def _all_there_is(self) -> Iterator[Message]:
        own = self._network.own
        for user in own.values():
            yield introduction(user)
            if user.away:
                yield Message("AWAY", (user.away,), user.uid)
        for channel in self._network.channels.values():
            here = [(user, ranks) for user, ranks in channel.members.items() if user.uid in own]
            name, since = channel.name, str(channel.since)
            if here:
                yield self._own("CHANNEL", name, since, *channel.modes())
                for mask, (by, at) in channel.bans.items():
                    yield self._own("BAN", name, since, mask, by, str(at))
                if channel.topic:
                    at = str(channel.topic_at)
                    yield self._own("TOPIC", name, at, channel.topic_by, channel.topic)
            for user, ranks in here:
                yield Message("JOIN", (name, since, ranks or "-"), user.uid)

    # From others

    def hear(self, packet: bytes) -> None:
        """A packet has come; those that are none are passed over."""
        head, *lines = packet.split(b"\r\n")
        envelope = parse_any(head)
        if envelope is None or envelope.command != "FROM" or len(envelope.params) != 3:
            return
        name, number, target = envelope.params
        if not number.isdecimal():
            return
        if envelope.source == self._network.me.sid:
            for message in self._contested.come_back(int(number)):
                changes.apply(self._network, message)
            return
        server = Server(envelope.source, name)
        if self._is_news(server.sid, int(number)) and target in (EVERYBODY, self._network.me.sid):
            for message in filter(None, map(parse_any, lines)):
                self._obey(server, int(number), message)

    def _is_news(self, sid: str, number: int) -> bool:
        peer = self._peers.get(sid)
        if peer is None:
            return True
        if number <= peer.number:
            return False
        missing = number - peer.number - 1
        if missing:
            self._lose(peer, f"{missing} packets of it are missing")
        peer.number, peer.heard_at = number, self._network.now()
        return True

    def _obey(self, server: Server, number: int, message: Message) -> None:
        peer = self._peers.get(server.sid)
        if message.command == "ASK":
            self._burst(server.sid)
        elif message.command == "BURST":
            if peer is None:
                self._note(f"{server.name} has joined the network")
                self._peers[server.sid] = _Peer(server, number, self._network.now())
        elif peer is None:
            if message.command != "BYE":
                self._ask(server)
        elif message.command == "BYE":
            self._lose(peer, "it has ended")
        elif message.source.startswith(server.sid):
            try:
                changes.apply(self._network, message, peer.server)
                self._contested.note_heard(message)
            except (TypeError, ValueError):
                pass  # it is of another version, which means something else by it

    def _ask(self, server: Server) -> None:
        now = self._network.now()
        if now - self._asked.get(server.sid, 0.0) >= BEAT:
            self._asked[server.sid] = now
            self._put(server.sid, self._own("ASK"))

    # Silence

    def beat(self) -> None:
        """To be called about once a second."""
        now = self._network.now()
        for peer in list(self._peers.values()):
            if now - peer.heard_at >= SILENCE:
                self._lose(peer, f"nothing was heard of it for {SILENCE:g} s")
        if not self._out and now - self._took_at >= BEAT:
            self._put(EVERYBODY, self._own("BEAT"))

    def _lose(self, peer: _Peer, why: str) -> None:
        """Let all go who are there."""
        del self._peers[peer.server.sid]
        self._asked.pop(peer.server.sid, None)
        self._note(f"{peer.server.name} is split from the network: {why}")
        reason = f"{self._network.me.name} {peer.server.name}"
        for user in list(self._network.users.values()):
            if user.server is peer.server:
                changes.apply(self._network, Message("QUIT", (reason,), user.uid), peer.server)
