"""Many connections that are told the same.

Rule: nobody waits for anybody here. A broadcast goes through a list that nobody changes: who joins
or leaves has a new one made, when it is needed.
"""

from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from .interfaces import IRoom
from .net import native
from .net.connections import Connection
from .net.outbox import as_octets


@implementer(IRoom)
class Room:
    """Those who hear what is broadcast; see IRoom."""

    def __init__(self) -> None:
        self._guard = native.make_rlock()
        self._posts: dict[Any, Callable[[Any], Any]] = {}
        self._list: list[Callable[[Any], Any]] | None = None

    def __repr__(self) -> str:
        return f"<room of {len(self)}>"

    def __len__(self) -> int:
        return len(self._posts)

    def __contains__(self, member: Any) -> bool:
        return member in self._posts

    @property
    def members(self) -> list[Any]:
        """Those who are in it, in the order they came."""
        with self._guard:
            return list(self._posts)

    def join(self, member: Any) -> bool:
        """Let ``member`` in; see IRoom."""
        if not callable(getattr(member, "post", None)):
            raise TypeError(f"{member!r} has no method post(data), and cannot be told anything")
        connection = _connection_of(member)
        post = member.post if connection is None else connection.post
        with self._guard:
            self._posts.setdefault(member, post)
            self._list = None
        if connection is None or connection.note_joined(self, member):
            return True
        self.leave(member)
        return False

    def leave(self, member: Any) -> bool:
        """Take ``member`` out; see IRoom."""
        with self._guard:
            was_in = self._posts.pop(member, None) is not None
            self._list = None
        connection = _connection_of(member)
        if connection is not None:
            connection.note_left(self, member)
        return was_in

    def broadcast(self, data: Any, skip: Any = None) -> int:
        """Post ``data`` to all members; see IRoom."""
        data = as_octets(data)
        posts = self._list_for(skip)
        return sum([1 for post in posts if post(data)])

    def _list_for(self, skip: Any) -> list[Callable[[Any], Any]]:
        with self._guard:
            posts = self._list
            if posts is None:
                posts = self._list = list(self._posts.values())
            if skip is None:
                return posts
            skipped = [skip] if hasattr(skip, "post") else skip
            skipped = {id(member) for member in skipped if member in self._posts}
            if not skipped:
                return posts
            return [post for member, post in self._posts.items() if id(member) not in skipped]


def _connection_of(member: Any) -> Connection | None:
    """Whose close takes ``member`` out; None if nobody knows."""
    if isinstance(member, Connection):
        return member
    meter = getattr(getattr(member, "request", None), "meter", None)
    return meter if isinstance(meter, Connection) else None
