"""Who and what there is: NAMES, LIST, WHO, WHOIS, ISON, USERHOST."""

from collections.abc import Iterable, Iterator

from . import numerics
from .channels import Channel
from .limits import MOST_ANSWERS, MOST_TARGETS
from .names import matches
from .people import User
from .session import Session, command
from .wire import LONGEST_LINE, Message


def tell_names(session: Session, channel: Channel) -> None:
    """Who is in a channel."""
    signs = "multi-prefix" in session.caps
    is_inside = session.user in channel.members
    names = [
        channel.sign_of(member, signs) + member.nick
        for member in channel.members
        if is_inside or "i" not in member.modes
    ]
    kind = "@" if "s" in channel.flags else "="
    start = session.numeric(numerics.RPL_NAMREPLY, kind, channel.name, "")
    room = LONGEST_LINE - len(start.line())
    replies = [
        session.numeric(numerics.RPL_NAMREPLY, kind, channel.name, words)
        for words in _packed(names, room)
    ]
    session.tell_all([*replies, session.numeric(numerics.RPL_ENDOFNAMES, channel.name)])


def _packed(words: Iterable[str], room: int) -> Iterator[str]:
    """As many words together as ``room`` bytes hold."""
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > room:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield line


@command("NAMES")
def _names(session: Session, message: Message) -> None:
    names = message.params[0].split(",")[:MOST_TARGETS] if message.params else []
    for name in names:
        channel = session.network.find_channel(name)
        if channel is not None and channel.is_seen_by(session.user):
            tell_names(session, channel)
        else:
            session.reply(numerics.RPL_ENDOFNAMES, name)
    if not names:
        session.reply(numerics.RPL_ENDOFNAMES, "*")


@command("LIST")
def _list(session: Session, message: Message) -> None:
    masks = message.params[0].split(",") if message.params else ["*"]
    channels = [
        channel
        for channel in session.network.channels.values()
        if channel.is_seen_by(session.user) and any(matches(mask, channel.name) for mask in masks)
    ]
    replies = [
        session.numeric(
            numerics.RPL_LIST, channel.name, str(len(channel.members)), channel.topic
        )
        for channel in channels
    ]
    start, end = session.numeric(numerics.RPL_LISTSTART, "Channel"), numerics.RPL_LISTEND
    session.tell_all([start, *_bounded(session, message, replies), session.numeric(end)])


def _bounded(session: Session, message: Message, replies: list[Message]) -> list[Message]:
    """The replies, or as many as there may be and that there are more."""
    if len(replies) <= MOST_ANSWERS:
        return replies
    too_many = session.numeric(numerics.ERR_TOOMANYMATCHES, message.command)
    return [*replies[:MOST_ANSWERS], too_many]


@command("WHO")
def _who(session: Session, message: Message) -> None:
    mask = message.params[0] if message.params else "*"
    network = session.network
    channel = network.find_channel(mask)
    if channel is not None:
        is_inside = session.user in channel.members
        found = [
            (channel, member)
            for member in channel.members
            if channel.is_seen_by(session.user) and (is_inside or "i" not in member.modes)
        ]
    else:
        mask = "*" if mask == "0" else mask
        found = [
            (_common(session.user, user), user)
            for user in network.users.values()
            if _is_meant(session.user, user, mask)
        ]
    replies = [_who_reply(session, channel, user) for channel, user in found[: MOST_ANSWERS + 1]]
    end = session.numeric(numerics.RPL_ENDOFWHO, mask)
    session.tell_all([*_bounded(session, message, replies), end])


def _common(viewer: User, user: User) -> Channel | None:
    return next((each for name, each in user.channels.items() if name in viewer.channels), None)


def _is_meant(viewer: User, user: User, mask: str) -> bool:
    if "i" in user.modes and user is not viewer and _common(viewer, user) is None:
        return matches(mask, user.nick) and "*" not in mask and "?" not in mask
    return any(
        matches(mask, text) for text in (user.nick, user.host, user.realname, user.server.name)
    )


def _who_reply(session: Session, channel: Channel | None, user: User) -> Message:
    signs = "multi-prefix" in session.caps
    flags = "G" if user.away else "H"
    if channel is not None:
        flags += channel.sign_of(user, signs)
    server = user.server
    hops = int(server is not session.network.me)
    return session.numeric(
        numerics.RPL_WHOREPLY, channel.name if channel is not None else "*", user.user, user.host,
        server.name, user.nick, flags, f"{hops} {user.realname}",
    )  # fmt: skip


@command("WHOIS")
def _whois(session: Session, message: Message) -> None:
    if not message.params:
        session.reply(numerics.ERR_NONICKNAMEGIVEN)
        return
    nick = message.params[-1].split(",")[0]  # before it a server may be named
    user = session.network.find_user(nick)
    replies = [session.numeric(numerics.ERR_NOSUCHNICK, nick)]
    if user is not None:
        replies = list(_about(session, user))
    session.tell_all([*replies, session.numeric(numerics.RPL_ENDOFWHOIS, nick)])


def _about(session: Session, user: User) -> Iterator[Message]:
    reply, nick = session.numeric, user.nick
    yield reply(numerics.RPL_WHOISUSER, nick, user.user, user.host, "*", user.realname)
    channels = [
        channel.sign_of(user, "multi-prefix" in session.caps) + channel.name
        for channel in user.channels.values()
        if channel.is_seen_by(session.user)
        and ("i" not in user.modes or user is session.user or session.user in channel.members)
    ]
    for words in _packed(channels, 300):
        yield reply(numerics.RPL_WHOISCHANNELS, nick, words)
    title = session.network.settings.network
    yield reply(numerics.RPL_WHOISSERVER, nick, user.server.name, f"of the {title} network")
    if user.away:
        yield reply(numerics.RPL_AWAY, nick, user.away)
    if user.account:
        yield reply(numerics.RPL_WHOISACCOUNT, nick, user.account)
    if user.is_secure:
        yield reply(numerics.RPL_WHOISSECURE, nick)
    if user.session is not None:
        idle = max(0, int(session.network.now() - user.session.spoke_at))
        came = int(user.session.came_at)
        yield reply(numerics.RPL_WHOISIDLE, nick, str(idle), str(came))


@command("WHOWAS", 1)
def _whowas(session: Session, message: Message) -> None:
    session.reply(numerics.ERR_WASNOSUCHNICK, message.params[0])
    session.reply(numerics.RPL_ENDOFWHOWAS, message.params[0])


@command("ISON", 1)
def _ison(session: Session, message: Message) -> None:
    nicks = " ".join(message.params).split()
    found = [user.nick for nick in nicks if (user := session.network.find_user(nick)) is not None]
    session.reply(numerics.RPL_ISON, " ".join(found))


@command("USERHOST", 1)
def _userhost(session: Session, message: Message) -> None:
    users = [session.network.find_user(nick) for nick in message.params[:5]]
    words = [
        f"{user.nick}={'-' if user.away else '+'}{user.user}@{user.host}"
        for user in users
        if user is not None
    ]
    session.reply(numerics.RPL_USERHOST, " ".join(words))
