"""One client: what it says, when it may, and what it is told.

Rule: nothing here does I/O or waits. Lines come by ``receive``, and go out by the connection's
``post``. Commands are functions of (session, message), each in the module of its subject.

Theory of operation. A client may send some lines at once and then a few each second. What comes too
early waits in ``_early`` for the network's pulse, in order; who sends much too much is shown out.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from . import numerics
from .audience import Line, form_of
from .names import as_host
from .numerics import Numeric
from .people import User
from .wire import Message, TooLong, parse

# Bytes that may wait for their turn; more is called a flood. It is what ircd has always taken.
MOST_EARLY = 8192

Command = Callable[["Session", Message], None]


class _Rule:
    """A command, how many parameters it takes at least, and whether only registered clients may."""

    __slots__ = ("run", "least", "for_all")

    def __init__(self, run: Command, least: int, for_all: bool) -> None:
        self.run = run
        self.least = least
        self.for_all = for_all


_COMMANDS: dict[str, _Rule] = {}


def command(name: str, least: int = 0, for_all: bool = False) -> Callable[[Command], Command]:
    """Have the decorated function be the command ``name``.

    ``least``: how many parameters it takes at least. ``for_all``: whether those who have not
    registered may say it, too.
    """

    def enter(function: Command) -> Command:
        _COMMANDS[name] = _Rule(function, least, for_all)
        return function

    return enter


class Session:
    """See the module.

    ``user``: who it is, None before it has registered. ``draft``: what it has said of itself until
    then. ``caps``: what it has asked for; ``form``: how it gets its lines then. ``is_over``:
    whether nothing more is to be read. ``came_at``, ``spoke_at``: when it has come, and
    talked last, in seconds since the epoch.
    """

    __slots__ = (
        "network", "connection", "host", "user", "draft", "caps", "form", "is_over", "came_at",
        "spoke_at", "_credit", "_counted_at", "_early", "_early_bytes", "__weakref__",
    )  # fmt: skip

    def __init__(self, network: Any, connection: Any) -> None:
        self.network = network
        self.connection = connection
        self.host = as_host(connection.host)
        self.user: User | None = None
        self.draft: Any = Draft()
        self.caps: set[str] = set()
        self.form = 0
        self.is_over = False
        self.came_at = self.spoke_at = self._counted_at = network.now()
        self._credit = float(network.settings.burst)
        self._early: deque[bytes] | None = None
        self._early_bytes = 0

    @property
    def nick(self) -> str:
        """What it is called in replies."""
        return self.user.nick if self.user is not None else self.draft.nick or "*"

    # From the connection

    def receive(self, line: bytes) -> None:
        """A line has come; with or without its CR LF."""
        with self.network.lock:
            if self.is_over:
                return
            now = self.network.now()
            if self.user is not None:
                self.network.clocks.note_heard(self, now)
            if not self._early and self._may_go_on(now):
                self._obey(line)
            else:
                self._keep(line)

    def lost(self, reason: str) -> None:
        """The connection has gone. It may be called again."""
        with self.network.lock:
            self._leave(reason)

    def draining(self) -> None:
        """The server is about to end."""
        with self.network.lock:
            self.close("Server is shutting down")

    # Flood control

    def _may_go_on(self, now: float) -> bool:
        settings = self.network.settings
        if not settings.rate:
            return True
        earned = (now - self._counted_at) * settings.rate
        self._credit = min(settings.burst, self._credit + max(0.0, earned))
        self._counted_at = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True

    def _keep(self, line: bytes) -> None:
        if self._early is None:
            self._early = deque()
        self._early.append(line)
        self._early_bytes += len(line) + 1  # or else empty lines could be kept for ever
        if self._early_bytes > MOST_EARLY:
            self.close("Excess Flood")
        else:
            self.network.clocks.throttled.add(self)

    def go_on(self, now: float) -> None:
        """Obey what came too early, as far as it may be by now."""
        while self._early and not self.is_over and self._may_go_on(now):
            line = self._early.popleft()
            self._early_bytes -= len(line) + 1
            self._obey(line)
        if not self._early:
            self._early = None
            self.network.clocks.throttled.discard(self)

    # Commands

    def _obey(self, line: bytes) -> None:
        try:
            message = parse(line)
        except TooLong:
            self.reply(numerics.ERR_INPUTTOOLONG)
            return
        if message is None:
            return
        rule = _COMMANDS.get(message.command)
        if rule is None:
            if self.user is None:
                self.reply(numerics.ERR_NOTREGISTERED)
            else:
                self.reply(numerics.ERR_UNKNOWNCOMMAND, message.command)
        elif self.user is None and not rule.for_all:
            self.reply(numerics.ERR_NOTREGISTERED)
        elif len(message.params) < rule.least:
            self.reply(numerics.ERR_NEEDMOREPARAMS, message.command)
        else:
            rule.run(self, message)

    # To the client

    def numeric(self, numeric: Numeric, *params: str) -> Message:
        """What ``reply`` says."""
        words = params if numeric.text is None else (*params, numeric.text)
        return Message(numeric.code, (self.nick, *words), self.network.me.name)

    def reply(self, numeric: Numeric, *params: str) -> None:
        """Answer with a numeric; its own text comes last."""
        self.tell(self.numeric(numeric, *params))

    def tell(self, message: Message, only: int = 0) -> None:
        """Say ``message``, if the client's form includes ``only``."""
        if self.form & only == only:
            self.hear(self.network.line(message))

    def tell_all(self, messages: list[Message]) -> None:
        """Say several at once, with one post."""
        lines = [self.network.line(message).in_form(self.form) for message in messages]
        self.connection.post(b"".join(lines))

    def hear(self, line: Line) -> None:
        """Say what others hear, too."""
        self.connection.post(line.in_form(self.form))

    def notify(self, text: str) -> None:
        """Say something that is for people to read."""
        self.tell(Message("NOTICE", (self.nick, f"*** {text}"), self.network.me.name))

    def ask(self) -> None:
        """Ask whether it is still there."""
        self.tell(Message("PING", (self.network.me.name,)))

    def take_caps(self, caps: set[str]) -> None:
        """Have these capabilities from now on."""
        channels = [] if self.user is None else list(self.user.channels.values())
        for channel in channels:
            channel.audience.leave(self)
        self.caps, self.form = caps, form_of(caps)
        for channel in channels:
            channel.audience.join(self)

    # The end

    def close(self, reason: str) -> None:
        """Show the client out; others are told ``reason``."""
        if not self.is_over:
            self.tell(Message("ERROR", (f"Closing Link: {self.host} ({reason})",)))
            self._leave(reason)
            self.connection.end()

    def _leave(self, reason: str) -> None:
        if self.is_over:
            return
        self.is_over = True
        self._early = None
        self.network.clocks.forget(self)
        if self.user is not None:
            self.network.do(Message("QUIT", (reason,), self.user.uid))


class Draft:
    """What a client says of itself until it has registered."""

    def __init__(self) -> None:
        self.password = ""
        self.nick = ""
        self.user = ""
        self.realname = ""
        self.account = ""
        self.negotiates = False  # capabilities, and registers when it has ended that
        self.failures = 0  # to log in
        self.sasl: str | None = None  # what has come of an AUTHENTICATE so far
