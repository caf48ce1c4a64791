"""Who is there, and in which channels: all that one process knows of its network.

Rule: whatever changes is a message, in the form that changes.py describes, and is applied in the
same way where it was said and everywhere else. Nothing here waits, reads or sends; ``lock`` is held
by whoever calls.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import greensock

from . import changes, commands
from .audience import Line
from .channels import Channel
from .clocks import Clocks
from .names import fold
from .people import Server, User
from .session import Session
from .wire import Message

VERSION = f"greensock-{greensock.__version__}"

# Channels that nobody is in any more.
MOST_ABANDONED = 100

assert commands  # sessions obey them


class Settings:
    """What an operator may choose.

    ``network``: its name. ``motd``: its lines. ``password``: that of PASS, '' for none.
    ``accounts``: an Accounts, or None for no SASL. ``burst``, ``rate``: how many lines a client may
    send at once, and how many a second in the long run; a ``rate`` of 0 is no limit. ``patience``:
    seconds to register in. ``quiet``, ``answer``: seconds without a line after which a client is
    asked whether it is still there, and those it then has.
    """

    def __init__(self, network: str = "greensock", motd: Iterable[str] = (), password: str = "",
                 accounts: Any = None, burst: int = 20, rate: float = 2.0, patience: float = 30.0,
                 quiet: float = 120.0, answer: float = 60.0) -> None:  # fmt: skip
        self.network = network
        self.motd = list(motd)
        self.password = password
        self.accounts = accounts
        self.burst = burst
        self.rate = rate
        self.patience = patience
        self.quiet = quiet
        self.answer = answer


class Network:
    """See the module. ``me``: the Server that this process is. ``version``: what runs here.

    ``lock``: a context manager, held whenever anything here is used. ``now()``: seconds since the
    epoch. ``users``, ``own``: all, and those of this server, by uid. ``nicks``, ``channels``: by
    folded name. ``others``: a Link to the other processes, or None if there are none.
    """

    version = VERSION

    def __init__(self, name: str, sid: str = "0", settings: Settings | None = None, *,
                 lock: Any = None, now: Callable[[], float] = time.time) -> None:  # fmt: skip
        self.me = Server(sid, name)
        self.settings = settings or Settings()
        self.lock = nullcontext() if lock is None else lock
        self.now = now
        self.others: Any = None
        self.began_at = now()
        self.users: dict[str, User] = {}
        self.own: dict[str, User] = {}
        self.invisible: set[User] = set()
        self.nicks: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self._abandoned: dict[str, Channel] = {}
        self.clocks = Clocks(self.settings)
        self._count = 0

    # For those who connect to this process

    def welcome(self, connection: Any) -> Session:
        """A Session for somebody who has just come.

        ``connection``: has ``host`` (str), ``is_secure``, ``post(data)`` and ``end()``, which may
        be called in any thread and must not wait.
        """
        with self.lock:
            session = Session(self, connection)
            self.clocks.note_newcomer(session, self.now())
        return session

    def pulse(self) -> None:
        """What is to be done now and then, about once a second."""
        with self.lock:
            self.clocks.pulse(self.now())
            if self.others is not None:
                self.others.beat()

    def new_uid(self) -> str:
        """The identity of somebody who registers here."""
        self._count += 1
        return f"{self.me.sid}{self._count:06}"

    # Looking

    def find_user(self, nick: str) -> User | None:
        """Who has this nick now."""
        return self.nicks.get(fold(nick))

    def find_channel(self, name: str) -> Channel | None:
        """The channel of this name."""
        return self.channels.get(fold(name))

    def servers(self) -> list[Server]:
        """All that are known, this one first."""
        return [self.me] if self.others is None else [self.me, *self.others.servers]

    def milliseconds(self) -> int:
        """Now, as ``since`` has it."""
        return int(self.now() * 1000)

    # Changing

    def do(self, message: Message) -> None:
        """Somebody here says what changes: apply it, and tell the other processes."""
        if self.others is not None:
            self.others.say(message)
        changes.apply(self, message)

    # For changes

    def add(self, user: User) -> None:
        """Know of a user, from now on."""
        self.users[user.uid] = self.nicks[fold(user.nick)] = user
        if user.server is self.me:
            self.own[user.uid] = user
        self.note_modes(user)

    def remove(self, user: User) -> None:
        """Know of them no more."""
        del self.users[user.uid]
        del self.nicks[fold(user.nick)]
        self.own.pop(user.uid, None)
        self.invisible.discard(user)

    def note_modes(self, user: User) -> None:
        """Their modes have changed."""
        (self.invisible.add if "i" in user.modes else self.invisible.discard)(user)

    def abandon(self, channel: Channel) -> None:
        """The last member has left. It is kept for a while: another server may think otherwise."""
        del self.channels[fold(channel.name)]
        self._abandoned[fold(channel.name)] = channel
        while len(self._abandoned) > MOST_ABANDONED:
            del self._abandoned[next(iter(self._abandoned))]

    def revive(self, name: str, since: int) -> Channel | None:
        """The channel of that name and age, if its last member has just left."""
        channel = self._abandoned.pop(fold(name), None)
        return channel if channel is not None and channel.since == since else None

    # Telling

    def line(self, message: Message) -> Line:
        """What a client is to be told, as of now, or of when its tags say."""
        return Line(message, self.now())

    def tell(self, channel: Channel, message: Message, skip: Session | None = None,
             only: int = 0) -> None:  # fmt: skip
        """Tell those members of a channel who are here."""
        channel.audience.tell(self.line(message), skip, only)

    def tell_neighbours(self, user: User, message: Message, skip: Session | None = None) -> None:
        """Tell once each of those here who share a channel with ``user``, and the user."""
        neighbours = {user} if user.session is not None else set()
        for channel in user.channels.values():
            neighbours.update(member for member in channel.members if member.session is not None)
        line = self.line(message)
        for neighbour in neighbours:
            if neighbour.session is not skip:
                neighbour.session.hear(line)
