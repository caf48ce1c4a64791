"""Two connections made one: what a relay promises."""

from zope.interface import Attribute, Interface


class IRelayed(Interface):
    """What a relay between two sockets, ``a`` and ``b``, came to. It does not change."""

    forth = Attribute("Bytes that ``b`` was sent of what ``a`` said (int).")
    back = Attribute("Bytes that ``a`` was sent of what ``b`` said (int).")
    reason = Attribute(
        "Why it ended: 'finished' if both have said their last and the other has been told, "
        "'closed' if one of them can hear nothing any more, 'reset' if one has failed, and 'idle' "
        "if neither said anything for too long."
    )
    error = Attribute("The OSError that one has failed with; None unless the reason is 'reset'.")


class IRelay(Interface):
    """Moves bytes between two stream sockets, both ways, until there is nothing left to move."""

    def __call__(a, b, idle_timeout=None):
        """Relay until it is over; an IRelayed.

        ``a`` and ``b``: connected stream sockets (TCP, Unix, under TLS or not), such as a handler's
        ``request`` and what ``toolbox.connect`` returns, that nobody else reads or writes
        meanwhile. Nothing of what their files, such as ``rfile``, have read ahead is moved.
        ``idle_timeout``: seconds without a byte either way after which it ends, None for no limit;
        it is kept to a quarter.

        It returns when both sides are done. When one has said its last the other is told so, and
        may go on itself: half-closed connections stay so. When one is reset, so will be the other
        as soon as it is closed, so that what was cut off is not taken for complete. When one can
        hear nothing any more the relay is over. Whatever was read before is passed on first, and a
        side that does not read makes the other wait: little more than a megabyte is kept here.

        The sockets stay open, and are as blocking as they were, but what they have left to say is
        undefined unless the reason is 'finished'. What the server counts of a connection, and the
        limits it sets to it, such as ``idle_timeout`` and ``send_timeout``, hold meanwhile.

        Only the caller waits, be it a greenlet or a thread; a greenlet's hub does the work without
        it. A deadline of the toolbox raises TimeoutError, as any wait would, and leaves what was
        moved until then moved. TypeError if one of them is no stream socket, ValueError for a wrong
        ``idle_timeout``, OSError (EBADF) if one is closed already; ConcurrentObjectUseError if
        another greenlet reads one of them.
        """
