"""Messages between those who do not know each other: what a bus promises.

A bus carries messages, which are bytes, under topics, which are names. Whoever publishes waits for
no subscriber, and whoever subscribes gets what is published from then on. A message may be lost:
because its subscriber was too slow, or because the connection to the server in between was. It is
never doubled, and its loss is always told: by the ``missed`` of the next one.
"""

from zope.interface import Attribute, Interface


class IMessage(Interface):
    """A message as a subscriber gets it. It does not change."""

    topic = Attribute("What it was published under (str).")
    data = Attribute("What was published (bytes).")
    number = Attribute(
        "Its number in the topic (int): one more than that of the message before. Numbers begin "
        "anew, with 1, when the bus has forgotten the topic: nobody had subscribed to it in this "
        "process, or Redis has lost it or got nothing for it in a day."
    )
    missed = Attribute(
        "How many messages of the topic the subscription should have got since the last one it "
        "was given, and will never get (int); 0 if none. If numbers have begun anew while the bus "
        "was out of touch, nobody knows how many that were: then it is 1 or more."
    )


class ISubscription(Interface):
    """What was published under some topics, in a queue of its own.

    Messages of one topic come in the order of their numbers, which is the same for all subscribers.

    Any thread and any greenlet of any hub may use it, and several at once may; each message is
    given to one of them. Waiting blocks the caller alone, and keeps the deadlines of the toolbox.
    """

    topics = Attribute("What it is subscribed to at this moment (a tuple of str).")
    dropped = Attribute("How many messages it had no room for, all in all (int).")
    reason = Attribute(
        "Why it ended: 'closed' if it was closed or its bus was, 'overflow' if it had no room and "
        "was to be closed then. None as long as it has not."
    )

    def add(*topics):
        """Subscribe it to further topics; those it has already stay as they are.

        Errors are as for IBus.subscribe; then none of them was added.
        """

    def remove(*topics):
        """Have it get no more of these topics; what it holds already stays. Never an error."""

    def get(timeout=None):
        """The next IMessage; wait for it, at most ``timeout`` seconds, None for no limit.

        ``queue.Empty`` if there is none in time. Once it has ended and nothing is left in it,
        ``greensock.errors.BusClosed``, or BusOverflow, which is one, for the reason 'overflow'.
        ValueError for a negative timeout.
        """

    def close():
        """End it, and wake whoever waits. What it holds can still be got. It may be called again.
        """

    def __iter__():
        """Return the subscription itself."""

    def __next__():
        """The next IMessage, whenever it comes.

        StopIteration once it was closed and nothing is left in it; BusOverflow as ``get``.
        """

    def __enter__():
        """Return the subscription itself."""

    def __exit__(exc_type, exc_value, traceback):
        """Close it."""


class IBus(Interface):
    """Carries messages from those who publish to all who have subscribed.

    Any thread and any greenlet of any hub may use it. In a forked child it is a bus of the child's
    own, with nothing subscribed: what it has of its parent, such as subscriptions, is closed there,
    and stays as it is in the parent.
    """

    url = Attribute("Where it is (str), without any password: 'local' or 'redis://...'.")

    def open():
        """See that it works, and have it ready. It is opened by first use as well.

        BusError if it cannot be reached, or nobody lets it in; it may be tried again.
        """

    def publish(topic, data):
        """Give ``data`` to all who have subscribed to ``topic`` until now.

        ``topic``: any str but the empty one. ``data``: bytes, or what is like bytes, which is
        copied. It never waits for subscribers. A local bus does not wait at all; a bus of Redis
        waits until Redis has taken it, which blocks the caller alone, and keeps its deadline.

        TypeError or ValueError for what is no topic or no bytes; ``greensock.errors.BusClosed``
        after ``close``; BusError if it could not be published. Then it may have been, if the
        connection was lost before Redis answered.
        """

    def subscribe(*topics, maxsize=10_000, overflow="drop_oldest"):
        """An ISubscription to these topics, which may be none; it may get more of them later.

        Whatever is published once this has returned is got, or missed and told of.

        ``maxsize``: how many messages it holds at most, 1 or more. ``overflow``: what becomes of
        one that it has no room for. 'drop_oldest' drops the one that waits longest,
        'drop_newest' the new one, and 'close' closes the subscription. An IBusOverflowed is sent
        whenever one begins to drop, or is closed.

        TypeError or ValueError for what is no topic, and for wrong options; BusClosed after
        ``close``; BusError if the bus cannot be reached.
        """

    def close():
        """End it, and all its subscriptions. It may be called again."""

    def __enter__():
        """Return the bus itself."""

    def __exit__(exc_type, exc_value, traceback):
        """Close it."""
