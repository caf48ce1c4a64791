"""What a client asks for beyond RFC 2812: CAP, and AUTHENTICATE with SASL PLAIN.

https://ircv3.net/specs/extensions/capability-negotiation, sasl-3.1, message-tags, server-time
"""

import base64

from . import numerics
from .registering import try_to_register
from .session import Session, command
from .wire import Message

CAPS = ("echo-message", "message-tags", "multi-prefix", "server-time")

# Bytes of base64 in one AUTHENTICATE; a shorter one is the last.
CHUNK = 400
LONGEST_SECRET = 4 * CHUNK


def _offered(session: Session) -> tuple[str, ...]:
    return (*CAPS, "sasl") if session.network.settings.accounts is not None else CAPS


@command("CAP", 1, for_all=True)
def _cap(session: Session, message: Message) -> None:
    order, *words = message.params
    answer = _ORDERS.get(order.upper())
    if answer is None:
        session.reply(numerics.ERR_INVALIDCAPCMD, order)
    else:
        answer(session, words[0] if words else "")


def _ls(session: Session, version: str) -> None:
    _negotiate(session)
    has_values = version.isdigit() and int(version[:6]) >= 302
    offered = ["sasl=PLAIN" if has_values and cap == "sasl" else cap for cap in _offered(session)]
    _say(session, "LS", offered)


def _list(session: Session, _: str) -> None:
    _say(session, "LIST", sorted(session.caps))


def _req(session: Session, wanted: str) -> None:
    _negotiate(session)
    names = wanted.split()
    is_known = all(name.removeprefix("-") in _offered(session) for name in names)
    if is_known:
        caps = set(session.caps)
        for name in names:
            (caps.discard if name[0] == "-" else caps.add)(name.removeprefix("-"))
        session.take_caps(caps)
    _say(session, "ACK" if is_known else "NAK", names)


def _end(session: Session, _: str) -> None:
    if session.user is None:
        session.draft.negotiates = False
        try_to_register(session)


_ORDERS = {"LS": _ls, "LIST": _list, "REQ": _req, "END": _end}


def _negotiate(session: Session) -> None:
    if session.user is None:
        session.draft.negotiates = True


def _say(session: Session, order: str, caps: list[str]) -> None:
    name = session.network.me.name
    session.tell(Message("CAP", (session.nick, order, " ".join(caps)), name))


@command("AUTHENTICATE", 1, for_all=True)
def _authenticate(session: Session, message: Message) -> None:
    word, draft = message.params[0], session.draft
    if "sasl" not in session.caps:
        session.reply(numerics.ERR_SASLFAIL)
    elif draft is None or draft.account:
        session.reply(numerics.ERR_SASLALREADY)
    elif word == "*":
        draft.sasl = None
        session.reply(numerics.ERR_SASLABORTED)
    elif draft.sasl is None:
        _begin(session, word)
    elif len(word) > CHUNK or len(draft.sasl) + len(word) > LONGEST_SECRET:
        draft.sasl = None
        session.reply(numerics.ERR_SASLTOOLONG)
    else:
        draft.sasl += "" if word == "+" else word
        if len(word) < CHUNK:
            secret, draft.sasl = draft.sasl, None
            _finish(session, secret)


def _begin(session: Session, mechanism: str) -> None:
    if mechanism.upper() != "PLAIN":
        session.reply(numerics.RPL_SASLMECHS, "PLAIN")
        session.reply(numerics.ERR_SASLFAIL)
        return
    session.draft.sasl = ""
    session.tell(Message("AUTHENTICATE", ("+",)))


def _finish(session: Session, secret: str) -> None:
    try:
        _, name, password = base64.b64decode(secret, validate=True).split(b"\0")
    except ValueError:
        session.reply(numerics.ERR_SASLFAIL)
        return
    account = session.network.settings.accounts.account_of(name, password)
    if account is None:
        session.reply(numerics.ERR_SASLFAIL)
        session.draft.failures += 1
        if session.draft.failures >= MOST_FAILURES:
            session.close("Too many wrong passwords")
        return
    session.draft.account = account
    who = f"{session.nick}!{session.draft.user or '*'}@{session.host}"
    session.reply(numerics.RPL_LOGGEDIN, who, account, f"You are now logged in as {account}")
    session.reply(numerics.RPL_SASLSUCCESS)


# Guessing is to cost a connection now and then.
MOST_FAILURES = 3
