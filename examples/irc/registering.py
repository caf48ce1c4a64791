"""How a client becomes a user, shows that it is there, and goes."""

import hmac

from . import numerics
from .about import tell_motd, tell_numbers
from .audience import stamp
from .identities import introduction
from .limits import REALNAME_LENGTH, REASON_LENGTH, SUPPORTED
from .names import as_user, is_nick
from .people import User
from .session import Session, command
from .wire import Message


@command("PASS", 1, for_all=True)
def _pass(session: Session, message: Message) -> None:
    if session.user is not None:
        session.reply(numerics.ERR_ALREADYREGISTERED)
    else:
        session.draft.password = message.params[0]


@command("NICK", for_all=True)
def _nick(session: Session, message: Message) -> None:
    nick = message.params[0] if message.params else ""
    network, user = session.network, session.user
    holder = network.find_user(nick)
    if not nick:
        session.reply(numerics.ERR_NONICKNAMEGIVEN)
    elif not is_nick(nick):
        session.reply(numerics.ERR_ERRONEUSNICKNAME, nick)
    elif holder is not None and holder is not user:
        session.reply(numerics.ERR_NICKNAMEINUSE, nick)
    elif user is None:
        session.draft.nick = nick
        try_to_register(session)
    elif nick != user.nick:
        network.do(Message("NICK", (nick, str(network.milliseconds())), user.uid))


@command("USER", 4, for_all=True)
def _user(session: Session, message: Message) -> None:
    if session.user is not None:
        session.reply(numerics.ERR_ALREADYREGISTERED)
        return
    session.draft.user = as_user(message.params[0])
    session.draft.realname = message.params[3][:REALNAME_LENGTH]
    try_to_register(session)


def try_to_register(session: Session) -> None:
    """Let a client in who has said all that is to be said."""
    draft, network = session.draft, session.network
    if not (draft.nick and draft.user) or draft.negotiates:
        return
    if not _knows_password(draft.password, network.settings.password):
        session.reply(numerics.ERR_PASSWDMISMATCH)
        session.close("Bad password")
    elif network.find_user(draft.nick) is not None:  # who has come meanwhile
        session.reply(numerics.ERR_NICKNAMEINUSE, draft.nick)
        draft.nick = ""
    else:
        _register(session)


def _knows_password(given: str, password: str) -> bool:
    as_bytes = [text.encode(errors="surrogateescape") for text in (given, password)]
    return not password or hmac.compare_digest(*as_bytes)


def _register(session: Session) -> None:
    network, draft = session.network, session.draft
    user = User(
        network.new_uid(), draft.nick, network.milliseconds(), draft.user, session.host,
        draft.realname, network.me,
    )  # fmt: skip
    user.account, user.is_secure = draft.account, session.connection.is_secure
    network.do(introduction(user))
    session.user = network.users[user.uid]
    session.user.session = session
    session.draft = None
    network.clocks.note_registered(session, network.now())
    _say_welcome(session)


def _say_welcome(session: Session) -> None:
    network, user = session.network, session.user
    name, title = network.me.name, network.settings.network
    words = [*SUPPORTED, f"NETWORK={title}"]
    session.tell_all(
        [
            session.numeric(
                numerics.RPL_WELCOME, f"Welcome to the {title} network, {user.prefix}"
            ),
            session.numeric(
                numerics.RPL_YOURHOST, f"Your host is {name}, running {network.version}"
            ),
            session.numeric(
                numerics.RPL_CREATED, f"This server was started at {stamp(network.began_at)}"
            ),
            session.numeric(
                numerics.RPL_MYINFO, name, network.version, "iw", "biklmnostv", "bklov"
            ),
            session.numeric(numerics.RPL_ISUPPORT, *words[:10]),
            session.numeric(numerics.RPL_ISUPPORT, *words[10:]),
        ]
    )
    tell_numbers(session)
    tell_motd(session)


@command("PING", for_all=True)
def _ping(session: Session, message: Message) -> None:
    if not message.params:
        session.reply(numerics.ERR_NOORIGIN)
        return
    name = session.network.me.name
    session.tell(Message("PONG", (name, message.params[0]), name))


@command("PONG", for_all=True)
def _pong(session: Session, message: Message) -> None:
    """It was noted already that the client is there."""


@command("QUIT", for_all=True)
def _quit(session: Session, message: Message) -> None:
    reason = message.params[0][:REASON_LENGTH] if message.params else ""
    session.close(f"Quit: {reason}")
