"""Changes of who is in which channel: JOIN, PART, KICK, INVITE."""

from typing import Any

from .changes import change, prefix_of
from .channels import RANKS, Channel
from .modes import Change
from .names import fold
from .people import Server, User
from .standing import channel_of, give_way, show_changes
from .wire import Message


@change("JOIN", of_gone=True)
def _join(network: Any, user: User | None, message: Message) -> None:
    name, since, ranks = message.params
    if user is None:
        _note_age(network, name, int(since))
        return
    if not set(ranks) <= {*RANKS, "-"}:
        raise ValueError(f"{ranks} are no ranks")
    channel = channel_of(network, name, int(since))
    ranks = "" if ranks == "-" or int(since) > channel.since else ranks
    if user in channel.members:
        return
    channel.add(user, ranks)
    network.tell(channel, Message("JOIN", (channel.name,), user.prefix))
    if ranks and user.session is None:
        given = [Change(True, rank, user.nick) for rank in ranks]
        show_changes(network, user.server, channel, given)


def _note_age(network: Any, name: str, since: int) -> None:
    """Somebody has come and has gone already, but the channel is as old as they said."""
    channel = network.find_channel(name)
    if channel is not None and since < channel.since:
        give_way(network, channel, since)


@change("PART")
def _part(network: Any, user: User, message: Message) -> None:
    name, *reason = message.params
    channel = user.channels.get(fold(name))
    if channel is not None:
        network.tell(channel, Message("PART", (channel.name, *reason), user.prefix))
        leave(network, channel, user)


@change("KICK", of_servers=True)
def _kick(network: Any, source: User | Server, message: Message) -> None:
    name, uid, reason = message.params
    user = network.users.get(uid)
    channel = None if user is None else user.channels.get(fold(name))
    if channel is not None:
        said = Message("KICK", (channel.name, user.nick, reason), prefix_of(source))
        network.tell(channel, said)
        leave(network, channel, user)


def leave(network: Any, channel: Channel, user: User) -> None:
    """Take a user out of a channel, which ends with its last member."""
    channel.remove(user)
    if not channel.members:
        network.abandon(channel)


@change("INVITE")
def _invite(network: Any, source: User, message: Message) -> None:
    uid, name = message.params
    user, channel = network.users.get(uid), network.find_channel(name)
    if user is None:
        return
    if channel is not None and channel.is_operator(source):
        # Without those that have ended, which anybody may have made for this alone.
        user.invited = {each for each in user.invited if each.members} | {channel}
    if user.session is not None:
        user.session.tell(Message("INVITE", (user.nick, name), source.prefix))
