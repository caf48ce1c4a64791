"""What changes a network, and what those who are told of it see.

Rule: a message that means the same at all servers is all it takes. Users are named by their uid,
moments are numbers, and nobody is asked whether it may be: that was seen to where it was said.

=========  =======  ======================================================================
command    source   parameters
=========  =======  ======================================================================
UID        server   uid, nick, since, user, host, modes, account or *, realname
NICK       user     nick, since
QUIT       user     reason
AWAY       user     text, or none
UMODE      user     letters
CHANNEL    server   name, since, modes and what belongs to them
JOIN       user     name, since, ranks or -
PART       user     name, reason or none
KICK       user     name, uid, reason
MODE       either   name, since, letters and what belongs to them; members by uid
BAN        server   name, since, mask, by, at
TOPIC      either   name, at, by, text
INVITE     user     uid, name
PRIVMSG    user     uid or name, text; so NOTICE, and TAGMSG without text
=========  =======  ======================================================================

Theory of operation. Two servers may say what cannot both be. Whoever was first is right: of two
users with a nick the one who has had it for longer keeps it, and the other one's nick becomes their
uid; of two channels with a name the older one's modes and ranks hold. All servers find the same.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from .people import Server, User
from .wire import Message


Change = Callable[[Any, Any, Message], None]


class _Rule(NamedTuple):
    """``of_servers``: whether a server may be the source; ``of_gone``: or a user who has gone.

    ``of_users``: whether one who is there may.
    """

    run: Change
    of_servers: bool
    of_gone: bool
    of_users: bool


_CHANGES: dict[str, _Rule] = {}


def change(
    name: str, of_servers: bool = False, of_gone: bool = False, of_users: bool = True
) -> Callable[[Change], Change]:
    """Have the decorated function be what a message ``name`` does.

    It is called with the network, the source, which is a User, and the message. ``of_servers``: the
    source may be a Server, and is one for a user who has gone. ``of_gone``: it is None for such a
    user. ``of_users``: False if it is always a Server. TypeError or ValueError if the parameters
    are not those of the table.
    """

    def enter(function: Change) -> Change:
        _CHANGES[name] = _Rule(function, of_servers, of_gone, of_users)
        return function

    return enter


def apply(network: Any, message: Message, server: Server | None = None) -> None:
    """Have ``message`` change the network; nothing happens if it makes no sense any more.

    ``server``: whose it is, None for this one.
    """
    rule = _CHANGES.get(message.command)
    source = network.users.get(message.source)
    if rule is None or source is None and not (rule.of_servers or rule.of_gone):
        return
    if source is not None and not rule.of_users:
        return
    if source is None and rule.of_servers:
        source = server or network.me
    rule.run(network, source, message)


def prefix_of(source: User | Server) -> str:
    """As it stands before what somebody does."""
    return source.prefix if isinstance(source, User) else source.name
