"""Who is there: users, each of them on a server of the network."""

from typing import Any, NamedTuple


class Server(NamedTuple):
    """A process of the network. ``sid`` is another one each time that it begins."""

    sid: str
    name: str


class User:
    """Somebody who has registered, here or at another server.

    ``uid``: theirs for as long as they are connected. ``since``: when they took their nick, in
    milliseconds since the epoch. ``channels``: by folded name. ``invited``: Channels they may come
    into, once. ``session``: None for others' users.
    """

    __slots__ = (
        "uid", "nick", "since", "user", "host", "realname", "server", "modes", "away", "account",
        "is_secure", "channels", "invited", "session", "__weakref__",
    )  # fmt: skip

    def __init__(self, uid: str, nick: str, since: int, user: str, host: str, realname: str,
                 server: Server) -> None:  # fmt: skip
        self.uid = uid
        self.nick = nick
        self.since = since
        self.user = user
        self.host = host
        self.realname = realname
        self.server = server
        self.modes: set[str] = set()
        self.away = ""
        self.account = ""
        self.is_secure = False
        self.channels: dict[str, Any] = {}
        self.invited: set[Any] = set()
        self.session: Any = None

    @property
    def prefix(self) -> str:
        """As it stands before what they say."""
        return f"{self.nick}!{self.user}@{self.host}"
