"""Many connections that are told the same."""

from zope.interface import Attribute, Interface


class IRoom(Interface):
    """Those who hear what is broadcast. Any thread or greenlet may use it at any moment.

    A member is a handler, an IConnection, or whatever else has a method ``post(data)``. Handlers
    and connections leave by themselves when their connection closes; others stay until they are
    taken out. Every process has a room of its own.
    """

    members = Attribute("Those who are in it at this moment, in the order they came (list).")

    def join(member):
        """Let ``member`` in; whether its connection is still open.

        Nothing happens if it is in already. TypeError if it has no method ``post``.
        """

    def leave(member):
        """Take ``member`` out; whether it was in."""

    def broadcast(data, skip=None):
        """Post ``data`` to all members; how many have taken it.

        ``skip``: a member whose peer shall not get it, or a collection of some. Nobody is waited
        for. Who joins meanwhile does not get it, and who leaves meanwhile may. Two broadcasts at
        once from different threads may reach different members in different order.
        """

    def __len__():
        """How many members there are."""

    def __contains__(member):
        """Whether ``member`` is in it."""
