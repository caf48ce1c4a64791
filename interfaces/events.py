"""What a server says of itself, through ``zope.event``.

An event is a small frozen object. It is built only when somebody listens for it. A subscriber
runs where the event happened, so it should be quick; what it raises is reported and hurts
nobody.
"""

from zope.interface import Attribute, Interface


class IServerEvent(Interface):
    """Something happened in a server."""

    server = Attribute("The server it happened in.")


class IServerStarted(IServerEvent):
    """``serve_forever`` began to take requests."""


class IServerStopped(IServerEvent):
    """``serve_forever`` takes no more requests; handlers may still be at work."""


class IWorkerStarted(IServerEvent):
    """A worker process takes requests. Told in the supervisor."""

    index = Attribute("Its place, 0 for the first.")
    pid = Attribute("Its process.")


class IWorkerEnded(IServerEvent):
    """A worker process has ended, and was reaped. Told in the supervisor."""

    index = Attribute("Its place, 0 for the first; None for the desk.")
    pid = Attribute("What was its process.")
    reason = Attribute(
        "Why: 'died' by itself or by a signal, 'hung' if it was killed because its hub stood "
        "still; 'replaced', 'removed', 'max_requests', 'max_rss', 'stopped', 'drained', 'cut', or "
        "'asked' if it was sent SIGTERM."
    )
    status = Attribute("Its wait status, see os.waitstatus_to_exitcode; None if not known.")
    pause = Attribute("Seconds until the next one may come in its place.")


class IWorkerFailed(IServerEvent):
    """A worker could not begin, or one of its hooks raised.

    Told in the worker, or in the supervisor if the system refused it a process.
    """

    index = Attribute("Its place, 0 for the first; None for the desk, or the supervisor itself.")
    error = Attribute("The exception.")


class IUpgradeEnded(IServerEvent):
    """A new version of the program serves now, and this one drains. Told in the supervisor."""

    pid = Attribute("The process of the new version's supervisor.")


class IUpgradeFailed(IServerEvent):
    """A new version of the program did not get ready; this one serves on. Told in the supervisor.
    """

    pid = Attribute("What was its process; 0 if there never was one.")
    reason = Attribute("Why, in words.")


class IRequestFailed(IServerEvent):
    """A handler, or a hook on its way to the handler, raised."""

    client_address = Attribute("The peer.")
    error = Attribute("The exception, with its traceback.")


class IHandshakeFailed(IServerEvent):
    """A peer did not complete its TLS handshake. Its connection is closed."""

    client_address = Attribute("The peer.")
    error = Attribute("The exception.")


class IProxyHeaderRefused(IServerEvent):
    """A connection had no PROXY header that it could be served by, and is closed; see IProxied."""

    client_address = Attribute("The peer that should have sent it.")
    reason = Attribute(
        "'untrusted' if the peer may not tell of clients, 'missing' if it did not begin with a "
        "header, 'malformed' if that was wrong, 'late' if it was cut before all of it had come."
    )
    error = Attribute("The exception that says more.")


class IAcceptFailed(IServerEvent):
    """``get_request`` raised something that does not mean 'nothing there'. The loop goes on."""

    error = Attribute("The exception.")


class IAcceptPaused(IServerEvent):
    """Accepting cannot go on for now; sent once for an episode, however long it lasts."""

    error = Attribute("The OSError, such as EMFILE, or what made accepting fail over and over.")


class IAcceptResumed(IServerEvent):
    """The episode that IAcceptPaused announced is over."""

    seconds = Attribute("How long it lasted.")


class IDatagramTruncated(IServerEvent):
    """A datagram was longer than ``max_packet_size``; the handler got its beginning."""

    client_address = Attribute("The peer.")
    kept = Attribute("Bytes the handler got.")


class IDatagramsDropped(IServerEvent):
    """The system had no room for datagrams, because handlers were too slow. Linux only.

    Sent at most once a second, and when the loop ends.
    """

    count = Attribute("How many since the last such event.")
    total = Attribute("How many since serve_forever began.")


class IConnectionCut(IServerEvent):
    """A connection was shut by force. Its IConnectionClosed follows when its handler has ended."""

    client_address = Attribute("The peer.")
    reason = Attribute("Why, as IConnection's reason, such as 'idle_timeout' or 'kicked'.")


class ISlowConsumer(IServerEvent):
    """A message was left out for a connection, because too much waits for it already.

    Sent once for an episode, which is over when nothing waits any more, and in the process that
    handles the connection.
    """

    connection = Attribute("The IConnection.")
    waiting = Attribute("Bytes that wait for it.")
    dropped = Attribute("Messages that were left out for it so far, this one included.")


class IConnectionOpened(IServerEvent):
    """A connection was admitted and goes to its worker."""

    connection = Attribute("The IConnection.")


class IConnectionClosed(IServerEvent):
    """A connection has ended. It tells how long it took, how much went over it, and why it ended.

    Where a process handled it, this comes when the process was reaped.
    """

    connection = Attribute("The IConnection, whose state is 'closed'.")


class IConnectionRefused(IServerEvent):
    """A connection was accepted only to be turned away."""

    client_address = Attribute("The peer.")
    reason = Attribute(
        "'max_connections', 'max_connections_per_peer', 'verify_request', or 'descriptors' when "
        "none was left."
    )


class ITLSReloaded(IServerEvent):
    """New connections get the certificates that ``reload_tls`` has loaded."""


class IDrainStarted(IServerEvent):
    """``drain`` was called."""

    connections = Attribute("How many connections there were.")


class IDrainEnded(IServerEvent):
    """The last connection of a server that drains has ended, or was cut."""

    seconds = Attribute("How long it took.")
    cut = Attribute("The IConnections that were cut (tuple).")


class IBusEvent(Interface):
    """Something happened to a bus."""

    bus = Attribute("The IBus.")


class IBusLost(IBusEvent):
    """It has lost its connection, and gets no messages until IBusRestored follows.

    Sent once for an episode, in a thread of the bus. It tries to connect again, with pauses of
    10 ms, doubling to 1 s.
    """

    error = Attribute("The exception that says why.")


class IBusRestored(IBusEvent):
    """It gets messages again. Sent in a thread of the bus."""

    seconds = Attribute("How long it did not.")
    missed = Attribute(
        "By topic, how many messages were published meanwhile that nobody here will get: a dict of "
        "those topics only, with IMessage's ``missed``."
    )


class IBusOverflowed(IBusEvent):
    """A subscription had no room for a message, because whoever reads it is too slow.

    Sent once until it has room again, where the message came from: by whoever published it, or in
    a thread of the bus.
    """

    subscription = Attribute("The ISubscription, whose ``reason`` says whether it was closed.")
