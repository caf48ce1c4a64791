"""Changes of what a channel is, and of who may do what there: CHANNEL, MODE, BAN, TOPIC."""

from collections.abc import Iterable
from typing import Any

from .changes import change, prefix_of
from .channels import FLAGS, RANKS, Channel
from .modes import Change, format_changes, parse_changes
from .names import fold
from .people import Server, User
from .wire import Message

# Changes of modes that are shown in one line, at most.
AT_ONCE = 6


def channel_of(network: Any, name: str, since: int) -> Channel:
    """The channel, and if there is none a new one; if it is a younger one, it gives way."""
    channel = network.find_channel(name)
    if channel is None:
        channel = network.revive(name, since) or Channel(name, since)
        network.channels[fold(name)] = channel
    elif since < channel.since:
        give_way(network, channel, since)
    return channel


def give_way(network: Any, channel: Channel, since: int) -> None:
    """Be the one that was made at ``since``: what was set later is taken back."""
    gone = [Change(False, flag) for flag in sorted(channel.flags)]
    gone += [Change(False, "k", channel.key)] if channel.key else []
    gone += [Change(False, "l")] if channel.limit else []
    gone += [Change(False, "b", mask) for mask in channel.bans]
    for member, ranks in channel.members.items():
        gone += [Change(False, rank, member.nick) for rank in ranks]
        channel.members[member] = ""
    channel.begin(since)
    show_changes(network, network.me, channel, gone)


def show_changes(network: Any, source: Any, channel: Channel, changes: Iterable[Change]) -> None:
    """Tell the members who are here."""
    changes = list(changes)
    while changes:
        words = format_changes(changes[:AT_ONCE])
        del changes[:AT_ONCE]
        network.tell(channel, Message("MODE", (channel.name, *words), prefix_of(source)))


@change("CHANNEL", of_servers=True, of_users=False)
def _channel(network: Any, server: Server, message: Message) -> None:
    name, since, letters, *params = message.params
    channel = channel_of(network, name, int(since))
    if int(since) == channel.since:
        # Of two keys or limits all servers have to choose the same.
        kept = {"k": (channel.key,), "l": (channel.limit,)}
        changes = [
            change
            for change in parse_changes(letters, params)
            if change.letter not in kept or kept[change.letter] < (_value(change),)
        ]
        show_changes(network, server, channel, _set_modes(network, server, channel, changes))


def _value(change: Change) -> Any:
    return int(change.param) if change.letter == "l" else change.param


@change("MODE", of_servers=True)
def _mode(network: Any, source: User | Server, message: Message) -> None:
    name, since, letters, *params = message.params
    channel = network.find_channel(name)
    if channel is not None and int(since) <= channel.since:
        changes = parse_changes(letters, params)
        show_changes(network, source, channel, _set_modes(network, source, channel, changes))


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
            channel.bans[param] = (prefix_of(source), int(network.now()))
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


@change("BAN", of_servers=True, of_users=False)
def _ban(network: Any, server: Server, message: Message) -> None:
    name, since, mask, by, at = message.params
    channel = network.find_channel(name)
    if channel is not None and int(since) == channel.since and mask not in channel.bans:
        channel.bans[mask] = (by, int(at))
        show_changes(network, server, channel, [Change(True, "b", mask)])


@change("TOPIC", of_servers=True)
def _topic(network: Any, source: User | Server, message: Message) -> None:
    name, at, by, text = message.params
    channel = network.find_channel(name)
    if channel is None or (channel.topic, channel.topic_by) == (text, by):
        return
    if isinstance(source, Server) and int(at) < channel.topic_at:
        return  # of a burst, and older than what is known here
    channel.topic, channel.topic_by, channel.topic_at = text, by, int(at)
    network.tell(channel, Message("TOPIC", (channel.name, text), prefix_of(source)))
