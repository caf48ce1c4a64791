"""Many connections that are told the same.

Rule: nobody waits for anybody here. A broadcast goes through a list that nobody changes: who joins
or leaves has a new one made, when it is needed.
"""

from collections.abc import Iterable
from typing import Any

from zope.interface import implementer

from .interfaces import IRoom
from .net import native
from .net.connections import Connection
from .net.outbox import as_octets
from .net.ways import post_to_many


@implementer(IRoom)
class Room:
    """Those who hear what is broadcast; see IRoom."""

    def __init__(self) -> None:
        self._guard = native.make_rlock()
        # By member: the connection, or the member itself if nobody knows of one.
        self._targets: dict[Any, Any] = {}
        self._lists: tuple[list[Any], list[Any]] | None = None

    def __repr__(self) -> str:
        return f"<room of {len(self)}>"

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, member: Any) -> bool:
        return member in self._targets

    @property
    def members(self) -> list[Any]:
        """Those who are in it, in the order they came."""
        with self._guard:
            return list(self._targets)

    def join(self, member: Any) -> bool:
        """Let ``member`` in; see IRoom."""
        if not callable(getattr(member, "post", None)):
            raise TypeError(f"{member!r} has no method post(data), and cannot be told anything")
        connection = _connection_of(member)
        with self._guard:
            self._targets.setdefault(member, member if connection is None else connection)
            self._lists = None
        if connection is None or connection.note_joined(self, member):
            return True
        self.leave(member)
        return False

    def leave(self, member: Any) -> bool:
        """Take ``member`` out; see IRoom."""
        with self._guard:
            target = self._targets.pop(member, None)
            self._lists = None
        if isinstance(target, Connection):
            target.note_left(self, member)
        return target is not None

    def broadcast(self, data: Any, skip: Any = None) -> int:
        """Post ``data`` to all members; see IRoom."""
        data = as_octets(data)
        connections, others = self._lists_of_all()
        if skip is None:
            skipped = set()
        else:
            members = (skip,) if hasattr(skip, "post") else tuple(skip)
            skipped = {self._targets.get(member) for member in members} - {None}
        return post_to_many(connections, data, skipped) + sum(
            [1 for each in others if each not in skipped and each.post(data)]
        )

    def _lists_of_all(self) -> tuple[list[Any], list[Any]]:
        lists = self._lists
        if lists is None:
            with self._guard:
                lists = self._lists = _split(self._targets.values())
        return lists


def _split(targets: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """The Connections, and the others."""
    lists: tuple[list[Any], list[Any]] = [], []
    for target in targets:
        lists[not isinstance(target, Connection)].append(target)
    return lists


def _connection_of(member: Any) -> Connection | None:
    """Whose close takes ``member`` out; None if nobody knows."""
    if isinstance(member, Connection):
        return member
    meter = getattr(getattr(member, "request", None), "meter", None)
    return meter if isinstance(meter, Connection) else None
