"""MODE, for channels and for users."""

from . import numerics
from .channels import FLAGS, MOST_BANS, RANKS, Channel
from .limits import KEY_LENGTH, MASK_LENGTH
from .modes import MOST_PARAMS, Change, format_changes, parse_changes
from .names import as_mask, fold
from .session import Session, command
from .wire import Message

USER_MODES = frozenset("iw")


@command("MODE", 1)
def _mode(session: Session, message: Message) -> None:
    target, *words = message.params
    if target.startswith("#"):
        channel = session.network.find_channel(target)
        if channel is None or not channel.is_seen_by(session.user):
            session.reply(numerics.ERR_NOSUCHCHANNEL, target)
        elif not words:
            _tell_modes(session, channel)
        else:
            _change_channel(session, channel, words)
    elif fold(target) != fold(session.nick):
        is_known = session.network.find_user(target) is not None
        wrong = numerics.ERR_USERSDONTMATCH if is_known else numerics.ERR_NOSUCHNICK
        session.reply(wrong, *([] if is_known else [target]))
    elif not words:
        session.reply(numerics.RPL_UMODEIS, "+" + "".join(sorted(session.user.modes)))
    else:
        _change_user(session, words[0])


def _tell_modes(session: Session, channel: Channel) -> None:
    is_inside = session.user in channel.members
    modes = channel.modes(with_key=is_inside)
    session.reply(numerics.RPL_CHANNELMODEIS, channel.name, *modes)
    session.reply(numerics.RPL_CREATIONTIME, channel.name, str(channel.since // 1000))


def _change_channel(session: Session, channel: Channel, words: list[str]) -> None:
    wanted: list[Change] = []
    with_param = 0
    for change in parse_changes(words[0], words[1:]):
        if change.letter == "b" and not change.param:
            _tell_bans(session, channel)
        elif not channel.is_operator(session.user):
            session.reply(numerics.ERR_CHANOPRIVSNEEDED, channel.name)
            return
        elif (checked := _checked(session, channel, change)) is not None:
            with_param += bool(checked.param)
            if with_param <= MOST_PARAMS:
                wanted.append(checked)
    if wanted:
        params = channel.name, str(channel.since), *format_changes(wanted)
        session.network.do(Message("MODE", params, session.user.uid))


def _checked(session: Session, channel: Channel, change: Change) -> Change | None:
    """The change as others are to be told of it; None if there can be none."""
    is_set, letter, param = change
    if letter in RANKS:
        return _checked_rank(session, channel, change)
    if letter == "b":
        if is_set and len(channel.bans) >= MOST_BANS:
            session.reply(numerics.ERR_BANLISTFULL, channel.name, param)
            return None
        return Change(is_set, letter, as_mask(param.lstrip(":").replace(" ", ""))[:MASK_LENGTH])
    if letter == "k":
        key = "".join(char for char in param if char not in " ,:")[:KEY_LENGTH]
        if is_set and not key:
            session.reply(numerics.ERR_NEEDMOREPARAMS, "MODE")
            return None
        return Change(is_set, letter, key or "*")
    if letter == "l" and is_set:
        if not (param.isascii() and param.isdigit() and 0 < int(param[:9])):
            session.reply(numerics.ERR_NEEDMOREPARAMS, "MODE")
            return None
        return Change(is_set, letter, str(int(param[:9])))
    if letter != "l" and letter not in FLAGS:
        session.reply(numerics.ERR_UNKNOWNMODE, letter)
        return None
    return change


def _checked_rank(session: Session, channel: Channel, change: Change) -> Change | None:
    if not change.param:
        session.reply(numerics.ERR_NEEDMOREPARAMS, "MODE")
        return None
    user = session.network.find_user(change.param)
    if user is None:
        session.reply(numerics.ERR_NOSUCHNICK, change.param)
        return None
    if user not in channel.members:
        session.reply(numerics.ERR_USERNOTINCHANNEL, user.nick, channel.name)
        return None
    return change._replace(param=user.uid)


def _tell_bans(session: Session, channel: Channel) -> None:
    bans = [
        session.numeric(numerics.RPL_BANLIST, channel.name, mask, by, str(at))
        for mask, (by, at) in channel.bans.items()
    ]
    session.tell_all([*bans, session.numeric(numerics.RPL_ENDOFBANLIST, channel.name)])


def _change_user(session: Session, letters: str) -> None:
    changes = list(parse_changes(letters, ()))
    if any(change.letter not in USER_MODES for change in changes):
        session.reply(numerics.ERR_UMODEUNKNOWNFLAG)
    user = session.user
    words = format_changes(
        change
        for change in changes
        if change.letter in USER_MODES and (change.letter in user.modes) != change.is_set
    )
    if words:
        session.network.do(Message("UMODE", tuple(words), user.uid))
        session.tell(Message("MODE", (user.nick, *words), user.prefix))
