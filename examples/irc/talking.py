"""What people say to each other: PRIVMSG, NOTICE, TAGMSG, AWAY."""

from . import numerics
from .audience import stamp
from .limits import AWAY_LENGTH, MOST_TARGETS
from .names import fold
from .session import Session, command
from .wire import Message


@command("PRIVMSG")
def _privmsg(session: Session, message: Message) -> None:
    if not message.params:
        session.reply(numerics.ERR_NORECIPIENT, "No recipient given (PRIVMSG)")
    elif len(message.params) < 2 or not message.params[1]:
        session.reply(numerics.ERR_NOTEXTTOSEND)
    else:
        session.spoke_at = session.network.now()
        _say(session, message, message.params[1])


@command("NOTICE")
def _notice(session: Session, message: Message) -> None:
    """As PRIVMSG, but for errors, which are not told of: RFC 1459, section 4.4.2."""
    if len(message.params) > 1 and message.params[1]:
        _say(session, message, message.params[1])


@command("TAGMSG", 1)
def _tagmsg(session: Session, message: Message) -> None:
    if "message-tags" in session.caps:
        _say(session, message)


def _say(session: Session, message: Message, *text: str) -> None:
    """Have it passed on to all it is for; of its tags those that are for clients."""
    network, user = session.network, session.user
    tags = {"time": stamp(network.now())}
    if "message-tags" in session.caps:
        tags.update({name: value for name, value in message.tags.items() if name[0] == "+"})
    targets = {fold(name): name for name in message.params[0].split(",") if name}
    if len(targets) > MOST_TARGETS:
        _refuse(session, message, numerics.ERR_TOOMANYTARGETS, message.params[0])
        return
    for target in targets.values():
        known = _known(session, message, target)
        if known:
            network.do(Message(message.command, (known, *text), user.uid, tags))


def _known(session: Session, message: Message, target: str) -> str:
    """The target as other servers know it; '' if there is none, or it may not be talked to."""
    network = session.network
    if target.startswith("#"):
        channel = network.find_channel(target)
        if channel is None:
            _refuse(session, message, numerics.ERR_NOSUCHCHANNEL, target)
        elif not channel.may_talk(session.user):
            _refuse(session, message, numerics.ERR_CANNOTSENDTOCHAN, channel.name)
        else:
            return channel.name
        return ""
    user = network.find_user(target)
    if user is None:
        _refuse(session, message, numerics.ERR_NOSUCHNICK, target)
        return ""
    if user.away and message.command == "PRIVMSG":
        session.reply(numerics.RPL_AWAY, user.nick, user.away)
    return user.uid


def _refuse(session: Session, message: Message, why: numerics.Numeric, target: str) -> None:
    if message.command != "NOTICE":
        session.reply(why, target)


@command("AWAY")
def _away(session: Session, message: Message) -> None:
    text = message.params[0][:AWAY_LENGTH] if message.params else ""
    session.network.do(Message("AWAY", (text,) if text else (), session.user.uid))
    session.reply(numerics.RPL_NOWAWAY if text else numerics.RPL_UNAWAY)
