"""What may be a name, which names are the same, and what a mask stands for."""

import re

NICK_LENGTH = 30
CHANNEL_LENGTH = 64
USER_LENGTH = 10
HOST_LENGTH = 63

# RFC 2812, section 2.3.1: a Scandinavian heritage.
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ[]\\~", "abcdefghijklmnopqrstuvwxyz{}|^")

_NICK = re.compile(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]*")
_CHANNEL = re.compile(r"#[^\x00-\x20,:\x7f]*")


def fold(name: str) -> str:
    """The form in which equal names are the same; CASEMAPPING=rfc1459."""
    return name.translate(_LOWER)


def is_nick(name: str) -> bool:
    """Whether a client may have this nick."""
    return len(name) <= NICK_LENGTH and _NICK.fullmatch(name) is not None


def is_channel(name: str) -> bool:
    """Whether a channel may have this name."""
    return len(name.encode(errors="surrogateescape")) <= CHANNEL_LENGTH and bool(
        _CHANNEL.fullmatch(name)
    )


def as_user(name: str) -> str:
    """A user name made of what a client has given as one."""
    return re.sub(r"[^A-Za-z0-9._-]", "", name)[:USER_LENGTH] or "user"


def as_host(address: str) -> str:
    """An address as it stands in a line, where nothing may begin with a colon."""
    host = "".join(char for char in address if char.isprintable() and char not in " @!*?,")
    return (f"0{host}" if host.startswith(":") else host)[:HOST_LENGTH] or "localhost"


def as_mask(text: str) -> str:
    """The full form, ``nick!user@host``, of a mask that may lack parts."""
    nick, bang, rest = text.partition("!")
    if not bang and "@" in text:
        nick, rest = "*", text
    user, _, host = rest.partition("@")
    return f"{nick or '*'}!{user or '*'}@{host or '*'}"


def matches(mask: str, text: str) -> bool:
    """Whether ``text`` is one that ``mask``, with its * and ?, stands for."""
    mask, text = fold(mask), fold(text)
    # Not a regular expression: those of a hostile mask may take for ever.
    at = here = 0
    star = retry = -1
    while here < len(text):
        if at < len(mask) and mask[at] == "*":
            star, retry = at, here
            at += 1
        elif at < len(mask) and mask[at] in ("?", text[here]):
            at += 1
            here += 1
        elif star >= 0:
            at = star + 1
            here = retry = retry + 1
        else:
            return False
    return not mask[at:].strip("*")
