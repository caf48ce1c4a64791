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

from collections.abc import Callable, Iterable
from typing import Any

from .audience import TAGGED
from .channels import FLAGS, RANKS, Channel
from .modes import Change, format_changes, parse_changes
from .names import fold
from .people import Server, User
from .wire import Message

# Changes of modes that are shown in one line, at most.
AT_ONCE = 6


def apply(network: Any, message: Message, server: Server | None = None) -> None:
    """Have ``message`` change the network; nothing happens if it makes no sense any more.

    ``server``: whose it is, None for this one.
    """
    change = _CHANGES.get(message.command)
    user = network.users.get(message.source)
    if change is not None and (user is not None or message.command in _OF_SERVERS):
        change(network, user or server or network.me, *message.params, **_extras(message))


def _extras(message: Message) -> dict[str, Any]:
    return {"message": message} if message.command in _TALK else {}


def _prefix(source: User | Server) -> str:
    return source.prefix if isinstance(source, User) else source.name


# Users


def _uid(network: Any, server: Server, uid: str, nick: str, since: str, user: str, host: str,
         modes: str, account: str, realname: str) -> None:  # fmt: skip
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


def _nick(network: Any, user: User, nick: str, since: str) -> None:
    settled = nick if nick == user.uid else _settle(network, user, nick, int(since))
    _rename(network, user, settled, int(since))


def _rename(network: Any, user: User, nick: str, since: int) -> None:
    if nick != user.nick:
        network.tell_neighbours(user, Message("NICK", (nick,), user.prefix))
        del network.nicks[fold(user.nick)]
        user.nick = nick
        network.nicks[fold(nick)] = user
    user.since = since


def _quit(network: Any, user: User, reason: str) -> None:
    message = Message("QUIT", (reason,), user.prefix)
    network.tell_neighbours(user, message, skip=user.session)
    for channel in list(user.channels.values()):
        _leave(network, channel, user)
    network.remove(user)


def _away(network: Any, user: User, text: str = "") -> None:
    user.away = text


def _umode(network: Any, user: User, letters: str) -> None:
    for change in parse_changes(letters, ()):
        (user.modes.add if change.is_set else user.modes.discard)(change.letter)
    network.note_modes(user)


# Channels


def _channel_of(network: Any, name: str, since: int) -> Channel:
    """The channel, and if there is none a new one; if it is a younger one, it gives way."""
    channel = network.find_channel(name)
    if channel is None:
        channel = network.channels[fold(name)] = Channel(name, since)
    elif since < channel.since:
        _give_way(network, channel, since)
    return channel


def _give_way(network: Any, channel: Channel, since: int) -> None:
    gone = [Change(False, flag) for flag in sorted(channel.flags)]
    gone += [Change(False, "k", channel.key)] if channel.key else []
    gone += [Change(False, "l")] if channel.limit else []
    gone += [Change(False, "b", mask) for mask in channel.bans]
    for member, ranks in channel.members.items():
        gone += [Change(False, rank, member.nick) for rank in ranks]
        channel.members[member] = ""
    channel.begin(since)
    _show_changes(network, network.me, channel, gone)


def _show_changes(network: Any, source: Any, channel: Channel, changes: Iterable[Change]) -> None:
    changes = list(changes)
    while changes:
        words = format_changes(changes[:AT_ONCE])
        del changes[:AT_ONCE]
        network.tell(channel, Message("MODE", (channel.name, *words), _prefix(source)))


def _channel(network: Any, server: Server, name: str, since: str, letters: str,
             *params: str) -> None:  # fmt: skip
    channel = _channel_of(network, name, int(since))
    if int(since) == channel.since:
        # Of two keys or limits all servers have to choose the same.
        kept = {"k": (channel.key,), "l": (channel.limit,)}
        changes = [
            change
            for change in parse_changes(letters, params)
            if change.letter not in kept or kept[change.letter] < (_value(change),)
        ]
        _show_changes(network, server, channel, _set_modes(network, server, channel, changes))


def _value(change: Change) -> Any:
    return int(change.param) if change.letter == "l" else change.param


def _join(network: Any, user: User, name: str, since: str, ranks: str) -> None:
    channel = _channel_of(network, name, int(since))
    ranks = "" if ranks == "-" or int(since) > channel.since else ranks
    if user in channel.members:
        return
    channel.add(user, ranks)
    network.tell(channel, Message("JOIN", (channel.name,), user.prefix))
    if ranks and user.session is None:
        given = [Change(True, rank, user.nick) for rank in ranks]
        _show_changes(network, user.server, channel, given)


def _leave(network: Any, channel: Channel, user: User) -> None:
    channel.remove(user)
    if not channel.members:
        del network.channels[fold(channel.name)]


def _part(network: Any, user: User, name: str, reason: str = "") -> None:
    channel = user.channels.get(fold(name))
    if channel is not None:
        params = (channel.name, reason) if reason else (channel.name,)
        network.tell(channel, Message("PART", params, user.prefix))
        _leave(network, channel, user)


def _kick(network: Any, source: User, name: str, uid: str, reason: str) -> None:
    user = network.users.get(uid)
    channel = None if user is None else user.channels.get(fold(name))
    if channel is not None:
        message = Message("KICK", (channel.name, user.nick, reason), _prefix(source))
        network.tell(channel, message)
        _leave(network, channel, user)


def _mode(network: Any, source: Any, name: str, since: str, letters: str, *params: str) -> None:
    channel = network.find_channel(name)
    if channel is not None and int(since) <= channel.since:
        changes = parse_changes(letters, params)
        _show_changes(network, source, channel, _set_modes(network, source, channel, changes))


def _set_modes(network: Any, source: Any, channel: Channel, changes: Iterable[Change]) -> list:
    """Those of the changes that change something, as clients are to see them."""
    return [
        done for change in changes if (done := _set_mode(network, source, channel, change))
    ]


def _set_mode(network: Any, source: Any, channel: Channel, change: Change) -> Change | None:
    is_set, letter, param = change
    if letter in RANKS:
        user = network.users.get(param)
        if user not in channel.members or not channel.set_rank(user, letter, is_set):
            return None
        return Change(is_set, letter, user.nick)
    if letter == "b":
        if is_set == (param in channel.bans):
            return None
        if is_set:
            channel.bans[param] = (_prefix(source), int(network.now()))
        else:
            del channel.bans[param]
    elif letter == "k":
        if channel.key == (param if is_set else ""):
            return None
        channel.key, param = (param, param) if is_set else ("", channel.key)
        return Change(is_set, letter, param)
    elif letter == "l":
        limit = int(param) if is_set else 0
        if channel.limit == limit:
            return None
        channel.limit = limit
    elif letter in FLAGS and is_set != (letter in channel.flags):
        (channel.flags.add if is_set else channel.flags.discard)(letter)
    else:
        return None
    return change


def _ban(network: Any, server: Server, name: str, since: str, mask: str, by: str, at: str) -> None:
    channel = network.find_channel(name)
    if channel is not None and int(since) == channel.since and mask not in channel.bans:
        channel.bans[mask] = (by, int(at))
        _show_changes(network, server, channel, [Change(True, "b", mask)])


def _topic(network: Any, source: Any, name: str, at: str, by: str, text: str) -> None:
    channel = network.find_channel(name)
    if channel is None or (channel.topic, channel.topic_by) == (text, by):
        return
    if isinstance(source, Server) and int(at) < channel.topic_at:
        return  # of a burst, and older than what is known here
    channel.topic, channel.topic_by, channel.topic_at = text, by, int(at)
    network.tell(channel, Message("TOPIC", (channel.name, text), _prefix(source)))


def _invite(network: Any, source: User, uid: str, name: str) -> None:
    user, channel = network.users.get(uid), network.find_channel(name)
    if user is None:
        return
    if channel is not None:
        user.invited.add(channel)
    if user.session is not None:
        user.session.tell(Message("INVITE", (user.nick, name), source.prefix))


# Talk


def _talk(network: Any, source: User, target: str, *text: str, message: Message) -> None:
    tags = message.tags
    only = TAGGED if message.command == "TAGMSG" else 0
    skip = source.session
    echoes = skip is not None and "echo-message" in skip.caps
    if target.startswith("#"):
        channel = network.find_channel(target)
        if channel is not None:
            said = Message(message.command, (channel.name, *text), source.prefix, tags)
            is_inside = source in channel.members
            network.tell(channel, said, None if echoes and is_inside else skip, only)
            if echoes and not is_inside:
                skip.tell(said, only)
        return
    user = network.users.get(target)
    if user is None:
        return
    said = Message(message.command, (user.nick, *text), source.prefix, tags)
    if user.session is not None and user.session is not skip:
        user.session.tell(said, only)
    if skip is not None and (user.session is skip or echoes):
        skip.tell(said, only)


_TALK = frozenset(["PRIVMSG", "NOTICE", "TAGMSG"])
_OF_SERVERS = frozenset(["UID", "CHANNEL", "MODE", "BAN", "TOPIC"])
_CHANGES: dict[str, Callable[..., None]] = {
    "UID": _uid,
    "NICK": _nick,
    "QUIT": _quit,
    "AWAY": _away,
    "UMODE": _umode,
    "CHANNEL": _channel,
    "JOIN": _join,
    "PART": _part,
    "KICK": _kick,
    "MODE": _mode,
    "BAN": _ban,
    "TOPIC": _topic,
    "INVITE": _invite,
    **dict.fromkeys(_TALK, _talk),
}
