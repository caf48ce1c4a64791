"""Coming into channels, leaving them, and being made to."""

import itertools

from . import numerics
from .channels import Channel
from .limits import MOST_CHANNELS, REASON_LENGTH, TOPIC_LENGTH
from .names import fold, is_channel
from .numerics import Numeric
from .people import User
from .seeing import tell_names
from .session import Session, command
from .wire import Message


@command("JOIN", 1)
def _join(session: Session, message: Message) -> None:
    names = message.params[0].split(",")
    keys = message.params[1].split(",") if len(message.params) > 1 else []
    if names == ["0"]:
        for channel in list(session.user.channels.values()):
            _leave(session, channel.name, "Left all channels")
        return
    for name, key in itertools.zip_longest(names[:MOST_CHANNELS], keys, fillvalue=""):
        if name:
            _enter(session, name, key)


def _enter(session: Session, name: str, key: str) -> None:
    user, network = session.user, session.network
    if not is_channel(name):
        session.reply(numerics.ERR_NOSUCHCHANNEL, name)
        return
    if fold(name) in user.channels:
        return
    channel = network.find_channel(name)
    refusal = _refusal(user, channel, key)
    if refusal is not None:
        session.reply(refusal, name)
        return
    if channel is None:
        since = str(network.milliseconds())
        network.do(Message("JOIN", (name, since, "o"), user.uid))
        network.do(Message("MODE", (name, since, "+nt"), network.me.sid))
    else:
        network.do(Message("JOIN", (channel.name, str(channel.since), "-"), user.uid))
    channel = user.channels[fold(name)]
    if channel.topic:
        tell_topic(session, channel)
    tell_names(session, channel)


def _refusal(user: User, channel: Channel | None, key: str) -> Numeric | None:
    """Why they may not come in; None if they may."""
    if len(user.channels) >= MOST_CHANNELS:
        return numerics.ERR_TOOMANYCHANNELS
    if channel is None or channel in user.invited:
        return None
    if channel.is_banned(user):
        return numerics.ERR_BANNEDFROMCHAN
    if "i" in channel.flags:
        return numerics.ERR_INVITEONLYCHAN
    if channel.key and key != channel.key:
        return numerics.ERR_BADCHANNELKEY
    if channel.limit and len(channel.members) >= channel.limit:
        return numerics.ERR_CHANNELISFULL
    return None


@command("PART", 1)
def _part(session: Session, message: Message) -> None:
    reason = message.params[1][:REASON_LENGTH] if len(message.params) > 1 else ""
    for name in message.params[0].split(","):
        if name:
            _leave(session, name, reason)


def _leave(session: Session, name: str, reason: str) -> None:
    channel = channel_of_member(session, name)
    if channel is not None:
        params = (channel.name, reason) if reason else (channel.name,)
        session.network.do(Message("PART", params, session.user.uid))


def channel_of_member(session: Session, name: str) -> Channel | None:
    """The channel, if the client is in it; if not it is told."""
    channel = session.network.find_channel(name)
    if channel is None:
        session.reply(numerics.ERR_NOSUCHCHANNEL, name)
    elif session.user not in channel.members:
        session.reply(numerics.ERR_NOTONCHANNEL, channel.name)
    else:
        return channel
    return None


def _is_operator(session: Session, channel: Channel) -> bool:
    if channel.is_operator(session.user):
        return True
    session.reply(numerics.ERR_CHANOPRIVSNEEDED, channel.name)
    return False


@command("KICK", 2)
def _kick(session: Session, message: Message) -> None:
    name, nick, *text = message.params
    channel = channel_of_member(session, name)
    if channel is None or not _is_operator(session, channel):
        return
    user = session.network.find_user(nick)
    if user not in channel.members:
        session.reply(numerics.ERR_USERNOTINCHANNEL, nick, channel.name)
        return
    reason = text[0][:REASON_LENGTH] if text and text[0] else session.nick
    session.network.do(Message("KICK", (channel.name, user.uid, reason), session.user.uid))


@command("INVITE", 2)
def _invite(session: Session, message: Message) -> None:
    nick, name = message.params[:2]
    network = session.network
    user, channel = network.find_user(nick), network.find_channel(name)
    if user is None:
        session.reply(numerics.ERR_NOSUCHNICK, nick)
        return
    if not is_channel(name):
        session.reply(numerics.ERR_NOSUCHCHANNEL, name)
        return
    if channel is not None:
        if session.user not in channel.members:
            session.reply(numerics.ERR_NOTONCHANNEL, channel.name)
            return
        if "i" in channel.flags and not _is_operator(session, channel):
            return
        if user in channel.members:
            session.reply(numerics.ERR_USERONCHANNEL, user.nick, channel.name)
            return
        name = channel.name
    session.reply(numerics.RPL_INVITING, user.nick, name)
    if user.away:
        session.reply(numerics.RPL_AWAY, user.nick, user.away)
    network.do(Message("INVITE", (user.uid, name), session.user.uid))


@command("TOPIC", 1)
def _topic(session: Session, message: Message) -> None:
    name, *text = message.params
    network, user = session.network, session.user
    if not text:
        channel = network.find_channel(name)
        if channel is None or not channel.is_seen_by(user):
            session.reply(numerics.ERR_NOSUCHCHANNEL, name)
        elif channel.topic:
            tell_topic(session, channel)
        else:
            session.reply(numerics.RPL_NOTOPIC, channel.name)
        return
    channel = channel_of_member(session, name)
    if channel is not None and ("t" not in channel.flags or _is_operator(session, channel)):
        params = channel.name, str(int(network.now())), user.prefix, text[0][:TOPIC_LENGTH]
        network.do(Message("TOPIC", params, user.uid))


def tell_topic(session: Session, channel: Channel) -> None:
    """The topic, and who has set it when."""
    by = channel.topic_by, str(channel.topic_at)
    session.tell_all(
        [
            session.numeric(numerics.RPL_TOPIC, channel.name, channel.topic),
            session.numeric(numerics.RPL_TOPICWHOTIME, channel.name, *by),
        ]
    )
