"""Changes of who is there: UID, NICK, QUIT, AWAY, UMODE."""

from typing import Any

from .changes import change
from .membership import leave
from .modes import parse_changes
from .names import fold
from .people import Server, User
from .wire import Message


@change("UID", of_servers=True, of_users=False)
def _uid(network: Any, server: Server, message: Message) -> None:
    uid, nick, since, user, host, modes, account, realname = message.params
    if uid in network.users:
        return
    newcomer = User(uid, nick, int(since), user, host, realname, server)
    newcomer.nick = _settle(network, newcomer, nick, int(since))
    newcomer.modes = set(modes) & set("iw")
    newcomer.is_secure = "z" in modes
    newcomer.account = "" if account == "*" else account
    network.add(newcomer)


def introduction(user: User) -> Message:
    """What makes a user known."""
    modes = "+" + "".join(sorted(user.modes)) + "z" * user.is_secure
    return Message(
        "UID",
        (user.uid, user.nick, str(user.since), user.user, user.host, modes, user.account or "*",
         user.realname),
        user.server.sid,
    )  # fmt: skip


def _settle(network: Any, user: User, nick: str, since: int) -> str:
    """The nick that ``user`` gets who wants ``nick``."""
    holder = network.nicks.get(fold(nick))
    if holder is None or holder is user:
        return nick
    if (holder.since, holder.uid) < (since, user.uid):
        return user.uid
    if holder.session is None:
        _rename(network, holder, holder.uid, since)
    else:
        holder.session.notify(f"{nick} belongs to somebody who has had it for longer")
        network.do(Message("NICK", (holder.uid, str(since)), holder.uid))
    return nick


@change("NICK")
def _nick(network: Any, user: User, message: Message) -> None:
    nick, since = message.params
    settled = nick if nick == user.uid else _settle(network, user, nick, int(since))
    _rename(network, user, settled, int(since))


def _rename(network: Any, user: User, nick: str, since: int) -> None:
    if nick != user.nick:
        network.tell_neighbours(user, Message("NICK", (nick,), user.prefix))
        del network.nicks[fold(user.nick)]
        user.nick = nick
        network.nicks[fold(nick)] = user
    user.since = since


@change("QUIT")
def _quit(network: Any, user: User, message: Message) -> None:
    (reason,) = message.params
    said = Message("QUIT", (reason,), user.prefix)
    network.tell_neighbours(user, said, skip=user.session)
    for channel in list(user.channels.values()):
        leave(network, channel, user)
    network.remove(user)


@change("AWAY")
def _away(network: Any, user: User, message: Message) -> None:
    user.away = "".join(message.params)


@change("UMODE")
def _umode(network: Any, user: User, message: Message) -> None:
    (letters,) = message.params
    for is_set, letter, _ in parse_changes(letters, ()):
        (user.modes.add if is_set else user.modes.discard)(letter)
    network.note_modes(user)
