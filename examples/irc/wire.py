"""Lines of IRC, as RFC 1459 and 2812 and the message tags of IRCv3 have them.

Rule: nothing is read or sent here, and no bytes are too hostile to be parsed. A line is bytes
outside and str inside; bytes that are no UTF-8 come out as they came in.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

# Bytes of a line without its tags, CR LF included; RFC 1459, section 2.3.
LONGEST_LINE = 512

# Bytes of the tags a client may send, from the @ to the space, and as many from the server.
LONGEST_TAGS = 4096

# Bytes of what anybody may send in one line.
LONGEST = LONGEST_TAGS + LONGEST_LINE

_CODEC = "utf-8", "surrogateescape"

# Wherever they stand, they end a line or garble it.
_CONTROL = b"\r\n\0"

_ESCAPES = {";": "\\:", " ": "\\s", "\\": "\\\\", "\r": "\\r", "\n": "\\n"}
_MEANINGS = {escape[1]: char for char, escape in _ESCAPES.items()}

# Commands and numerics whose last word is text: some clients know it only by its colon.
_TEXTUAL = frozenset(
    "CAP PRIVMSG NOTICE QUIT PART KICK TOPIC ERROR PONG 301 302 303 319 322 332 353 372".split()
)


class TooLong(ValueError):
    """A line, or its tags, is longer than anybody may send."""


class Message(NamedTuple):
    """One line. ``source`` is '' if it has none, and the value of a tag '' if that has none."""

    command: str
    params: tuple[str, ...] = ()
    source: str = ""
    tags: Mapping[str, str] = {}

    def line(self, longest: int | None = LONGEST_LINE) -> bytes:
        """It without its tags, with CR LF; cut to ``longest`` bytes, None for no limit.

        What cannot stand where it does is left out: a space in any parameter but the last.
        """
        parts = [f":{self.source}", self.command] if self.source else [self.command]
        if self.params:
            *middle, last = self.params
            parts += [_as_middle(param) for param in middle]
            has_colon = self.command in _TEXTUAL or not last or last[0] == ":" or " " in last
            parts.append(f":{last}" if has_colon else last)
        line = " ".join(parts).encode(*_CODEC).translate(None, _CONTROL)
        return (line if longest is None else cut(line, longest - 2)) + b"\r\n"

    def tagged_line(self, longest: int | None = LONGEST_LINE) -> bytes:
        """The same, with its tags before it."""
        return format_tags(self.tags) + self.line(longest)


def _as_middle(param: str) -> str:
    if param and param[0] != ":" and " " not in param:
        return param
    return param.lstrip(": ").partition(" ")[0] or "*"


def cut(line: bytes, size: int) -> bytes:
    """The first ``size`` bytes of ``line``; up to three less, lest a character be cut in two."""
    if len(line) <= size:
        return line
    for end in range(size, max(size - 4, 0), -1):
        if line[end] & 0xC0 != 0x80:
            return line[:end]
    return line[:size]  # it is no UTF-8


def parse(line: bytes) -> Message | None:
    """The message in a line, with or without its CR LF; None if there is nothing in it.

    TooLong if it is more than anybody may send.
    """
    line = line.rstrip(b"\r\n")
    tags, rest = _split_tags(line)
    if len(tags) > LONGEST_TAGS:
        raise TooLong(f"{len(tags)} bytes of tags; {LONGEST_TAGS} are allowed")
    if len(rest) > LONGEST_LINE - 2:
        raise TooLong(f"{len(rest)} bytes; {LONGEST_LINE - 2} are allowed")
    return parse_any(line)


def parse_any(line: bytes) -> Message | None:
    """The same, however long the line is."""
    head, rest = _split_tags(line.translate(None, _CONTROL))
    text = rest.decode(*_CODEC).lstrip(" ")
    source = ""
    if text[:1] == ":":
        source, _, text = text[1:].partition(" ")
    middle, colon, last = text.lstrip(" ").partition(" :")
    command, *params = [word for word in middle.split(" ") if word] or [""]
    if colon:
        params.append(last)
    if not command:
        return None
    return Message(command.upper(), tuple(params), source, _parse_tags(head) if head else {})


def _split_tags(line: bytes) -> tuple[bytes, bytes]:
    """The tags, from the @ to the space, and the rest."""
    if line[:1] != b"@":
        return b"", line
    tags, space, rest = line.partition(b" ")
    return tags + space, rest


def _parse_tags(head: bytes) -> dict[str, str]:
    tags = {}
    for part in head[1:].decode(*_CODEC).rstrip(" ").split(";"):
        name, _, value = part.partition("=")
        if name:
            tags[name] = _unescape(value) if "\\" in value else value
    return tags


def _unescape(value: str) -> str:
    return re.sub(r"\\(.?)", lambda found: _MEANINGS.get(found[1], found[1]), value)


def format_tags(tags: Mapping[str, str]) -> bytes:
    """Tags with their @ and space; nothing if there are none."""
    if not tags:
        return b""
    parts = [f"{name}={_escape(value)}" if value else name for name, value in tags.items()]
    return f"@{';'.join(parts)} ".encode(*_CODEC)


def _escape(value: str) -> str:
    return "".join([_ESCAPES.get(char, char) for char in value if char != "\0"])


class Lines:
    """Takes bytes as they come and gives them back line by line.

    A line longer than anybody may send is given in part, so that it is seen to be too long, and
    the rest of it is left out: no more than LONGEST bytes and one piece of input are held.
    """

    __slots__ = ("_begun", "_skips")

    def __init__(self) -> None:
        self._begun = b""
        self._skips = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in ``data``, without their ends."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if self._skips and lines:
            self._skips = False
            del lines[0]
        if len(self._begun) > LONGEST:
            if not self._skips:
                lines.append(self._begun[: LONGEST + 1])
            self._skips = True
            self._begun = b""
        return lines
