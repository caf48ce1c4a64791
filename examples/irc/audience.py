"""Telling many the same, each in the form that they have asked for.

Rule: a line is put into bytes once for each form, not once for each reader.
"""

from datetime import datetime, timezone
from typing import Any

from greensock import Room

from .wire import Message, format_tags

# Forms of a line; each is the sum of what a client has asked for.
PLAIN, TIMED, TAGGED = 0, 1, 2


def form_of(caps: set[str]) -> int:
    """The form in which a client with these capabilities gets its lines."""
    return TIMED * ("server-time" in caps) + TAGGED * ("message-tags" in caps)


def stamp(seconds: float) -> str:
    """A moment, in seconds since the epoch, as the tag ``time`` has it."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


class Line:
    """A message on its way to clients; its tags are those of the client it came from.

    ``now``: seconds since the epoch, for a message without a tag ``time``.
    """

    __slots__ = ("_message", "_now", "_forms")

    def __init__(self, message: Message, now: float) -> None:
        self._message = message
        self._now = now
        self._forms: dict[int, bytes] = {}

    def in_form(self, form: int) -> bytes:
        """Its bytes."""
        data = self._forms.get(form)
        if data is None:
            tags = dict(self._message.tags) if form & TAGGED else {}
            time = tags.pop("time", None) or self._message.tags.get("time")
            if form & TIMED:
                tags = {"time": time or stamp(self._now), **tags}
            data = self._forms[form] = format_tags(tags) + self._message.line()
        return data


class Audience:
    """Those members of a channel who are connected to this process."""

    __slots__ = ("_rooms",)

    def __init__(self) -> None:
        self._rooms: dict[int, Room] = {}

    def join(self, session: Any) -> None:
        """Tell ``session``, from now on, in the form it wants."""
        room = self._rooms.get(session.form)
        if room is None:
            room = self._rooms[session.form] = Room()
        room.join(session.connection)

    def leave(self, session: Any) -> None:
        """Tell it nothing more. Its form must be the one it has joined with."""
        room = self._rooms.get(session.form)
        if room is not None:
            room.leave(session.connection)
            if not room:
                del self._rooms[session.form]

    def tell(self, line: Line, skip: Any = None, only: int = PLAIN) -> None:
        """Post it to all but the session ``skip``; to those alone whose form includes ``only``."""
        skipped = None if skip is None else skip.connection
        for form, room in self._rooms.items():
            if form & only == only:
                room.broadcast(line.in_form(form), skip=skipped)
