"""What may be a name, which names are the same, and what a mask stands for."""

import re
from functools import lru_cache

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
    first, *others = mask.split("*")
    if "?" not in first and not text.startswith(first):
        return False  # as most are not, and soon
    # Not one place after the other: what hostile masks nearly match would take for ever.
    places = _places(text)
    if not others:
        return len(first) == len(text) and bool(_starts(first, places, text))
    *middle, last = others
    end = len(text) - len(last)
    here = len(first)
    if here > end or not _starts(first, places, text) & 1 or not _starts(last, places, text) >> end:
        return False
    for piece in middle:
        starts = _starts(piece, places, text) >> here
        if not starts:
            return False
        here += (starts & -starts).bit_length() - 1 + len(piece)
    return here <= end


@lru_cache(64)  # one text is compared with many masks
def _places(text: str) -> dict[str, int]:
    """Where each character is: a bit for each place."""
    places: dict[str, int] = {}
    for place, char in enumerate(text):
        places[char] = places.get(char, 0) | 1 << place
    return places


def _starts(piece: str, places: dict[str, int], text: str) -> int:
    """Where in ``text`` a piece of a mask, with its ?, can begin: a bit for each place."""
    starts = (1 << max(0, len(text) - len(piece) + 1)) - 1
    for offset, char in enumerate(piece):
        if char != "?":
            starts &= places.get(char, 0) >> offset
            if not starts:
                break
    return starts
