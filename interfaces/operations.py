"""What keeps a server running: limits, deadlines, TLS, an orderly end, and a look inside.

Everything here is an attribute or a method of the server. The attributes have their defaults on the
class, may be set on a subclass or on one server, and are checked before the server binds and
whenever they are set: ValueError says what came, and what was expected. They may be changed while
the server serves, and hold from then on.

They hold under every model, for connections. Datagrams have no beginning and no end: of what is
here only ``accept_rate``, ``suspend``, ``resume``, ``drain`` and ``drain_timeout`` are for them.
"""

from zope.interface import Attribute, Interface


class IConnection(Interface):
    """One connection that a server has accepted, for whoever looks on.

    It says what is known at the moment it is asked. All of it may be read in any thread.
    """

    client_address = Attribute(
        "The peer, in the form its address family uses; if a proxy has told of it, the client "
        "behind that."
    )
    proxy = Attribute("The IProxyHeader it began with; None if there was none, or none yet.")
    since = Attribute("When it was accepted, in seconds since the epoch (float).")
    seconds = Attribute("How long ago that is, or how long it lasted if it is closed.")
    received = Attribute(
        "Bytes the handler has read from it. Bytes that went past the request's own methods, as "
        "through ``os.sendfile``, are not known here, nor those of a request that an "
        "application's own ``get_request`` has made."
    )
    sent = Attribute("Bytes the handler has written to it; as for ``received``.")
    state = Attribute(
        "'handshake' while a PROXY header is awaited or TLS begins, 'open' while its handler is at "
        "work, 'parked' while it rests between two messages, 'cut' once its end was forced, "
        "'closed'."
    )
    model = Attribute("The short name of the model it is handled under.")
    reason = Attribute(
        "Why it ends or has ended, None before: 'finished' when its handler returned, 'failed' "
        "when that raised, 'handshake' when TLS did not begin, 'proxy_protocol' when it had no "
        "right PROXY header, 'max_connections_per_peer' when that shows it to be one too many; and "
        "if it was cut 'idle_timeout', 'request_timeout', 'handshake_timeout', 'send_timeout', "
        "'kicked', 'drain_timeout' or 'slow_consumer'."
    )

    def post(data):
        """Send ``data``, without ever waiting; whether it was taken.

        Any thread or greenlet of the process that handles the connection may; another process may
        not, and gets False. What the system has no room for waits here, up to ``send_buffer``
        bytes, and is sent as the peer reads, be the handler at work, waiting or at rest. It is kept
        as it is, not copied: ``data`` is bytes, or a memoryview of what does not change; of other
        buffers a copy is made.

        A message goes out whole and in one piece, and those of one sender in order. What the
        handler writes comes neither before what was posted earlier nor into the midst of it, nor
        the other way round: a call of ``sendall`` or ``send``, or of ``write`` of an unbuffered
        ``wfile``, is one piece, too. Before the TLS handshake is over all that is posted waits.
        When the handler returns, and when it shuts the connection for writing, what was posted
        before is sent first, however long that takes; ``send_timeout`` limits it, and a drain waits
        for it. When the connection is cut, it is lost.

        False if the connection is closed, was cut, or is about to end because its handler has
        returned; if it was cut for this message, and if this message was left out, as
        ``slow_consumer`` says. True does not mean that the peer has got it. TypeError if ``data``
        is not bytes-like, or if the connection is one that the application's own ``get_request``
        has made. A handler of signals must not post to a connection that a greenlet handles.
        """

    def hang_up():
        """End it in order, without ever waiting; whether it was open.

        Whoever may post may hang up. The handler finds that nothing follows, as if the peer had
        ended its side, and returns; a parked one that rests is finished. What was posted is sent
        before the connection closes. What the peer sends in spite of that may still reach a handler
        that reads on.
        """


class IAdmission(Interface):
    """Who gets in. A permit is taken before ``accept``, so that no limit is ever passed."""

    max_connections = Attribute(
        "Connections at a time (int, 1 or more), None for no limit. Without a model there is one."
    )
    max_connections_per_peer = Attribute(
        "Connections at a time from one IP address (int, 1 or more), None for no limit. More "
        "are accepted and closed, with ``overload_reply`` first if ``overload`` is 'reject'. "
        "Peers on Unix sockets are not told apart, and not limited."
    )
    accept_rate = Attribute(
        "Connections or datagrams per second (a number above 0), None for no limit. The others "
        "wait in the system's queue, whatever ``overload`` says."
    )
    accept_burst = Attribute(
        "How many ``accept_rate`` lets in at once after a quiet time (int, 1 or more); None for "
        "as many as in one second, and at least one."
    )
    overload = Attribute(
        "What happens to clients at ``max_connections``, and while no descriptor is left: "
        "'backlog' leaves them in the system's queue until there is room, 'close' accepts and "
        "closes them at once, 'reject' sends them ``overload_reply`` before. For want of a "
        "descriptor, one held in reserve is used."
    )
    overload_reply = Attribute(
        "What is sent when ``overload`` is 'reject' (bytes). Under TLS nothing is sent, because "
        "nobody shakes hands with those who are turned away."
    )

    def suspend(release=False):
        """Take no more, until ``resume``; connections that are open are not touched.

        New clients wait in the system's queue; with ``release`` the listener is closed, and
        they are refused. Do not release one that somebody else holds as well, as systemd does: its
        clients wait there, and ``resume`` finds the address in use.

        Returns when the loop has stopped taking, except in a handler, on the serving greenlet and
        in a signal handler, where it asks and returns. It may be called before ``serve_forever``.
        """

    def resume():
        """Go on taking; the listener is opened again if it was released.

        OSError if that fails, such as because somebody else has its address now; the server
        stays suspended. Nothing happens if it is not suspended.
        """


class IDeadlines(Interface):
    """How long a peer may take. Seconds, above 0; None for no limit.

    Who takes longer is cut: the connection is shut both ways, which wakes a handler that reads or
    writes; one that has not ended a second later is ended by force, which a greenlet meets as
    GreenletExit, a process as SIGKILL and a thread not at all. It happens within an eighth of the
    limit after its end, or 50 ms if that is more.
    """

    idle_timeout = Attribute("Without a byte either way.")
    request_timeout = Attribute(
        "For the whole handler. For a parked one, which rests between messages, for each message."
    )
    handshake_timeout = Attribute(
        "For the TLS handshake, and for a PROXY header before it. The default is 10 seconds. "
        "Meanwhile no other limit holds, unless this one is None."
    )
    send_timeout = Attribute(
        "For a write that waits, without a byte being taken, for a peer that does not read; what "
        "was posted is such a write as long as it waits."
    )


class IBroadcasting(Interface):
    """What happens to those for whom more is posted than they read."""

    send_buffer = Attribute(
        "Bytes that may wait for one connection, of those that were posted (int, 1 or more), None "
        "for no limit. The default is 1 MiB. What is shared by many connections counts for each, "
        "and what other threads have posted as soon as the connection's hub has tried to send it."
    )
    slow_consumer = Attribute(
        "What becomes of a connection for which more would wait: 'close', the default, cuts it, "
        "and 'drop' leaves the message out, whole. Nothing is left out of a message of which the "
        "system has taken a part already."
    )


class ITLS(Interface):
    """TLS on a server of connections. Handshakes are made by the workers, never by the loop."""

    ssl_context = Attribute(
        "None for no TLS, an ``ssl.SSLContext``, or a function without arguments that returns "
        "one: it is called before the server binds, and again by ``reload_tls``. Certificates, "
        "protocols, SNI, ALPN, client certificates and session resumption are as it says."
    )
    implicit_tls = Attribute(
        "Whether every connection begins with the handshake; if not, handlers begin it with "
        "``switch_to_tls``. The default is True."
    )

    def reload_tls():
        """Have ``ssl_context`` called again; its result is for new connections, old ones stay.

        What it raises goes on to the caller, and the context stays what it was. TypeError if
        ``ssl_context`` is no function.
        """


class IDraining(Interface):
    """The end of a server that drops nobody."""

    drain_timeout = Attribute(
        "Seconds ``drain`` and ``server_close`` wait for handlers before they cut them, as a "
        "deadline does (0 or more); None for no limit."
    )

    def drain(timeout=...):
        """End in order; return the IConnections that had to be cut (list).

        New clients are refused from now on, but those who are in the system's queue already
        are served. ``serve_forever`` returns when the last of them was taken, and the listener is
        closed. Connections that are idle are told that nothing will follow, as if the peer had
        ended its side: parked ones that rest, those whose last bytes were sent by the handler, and
        no more for a moment, and those over which nothing went for a second from their beginning.
        Where newcomers cannot be kept out of the queue, because others may listen with the socket
        or the system has no such thing, as many are served as it holds now. Handlers with a
        method ``draining`` have it called. Then at most ``timeout`` seconds (``drain_timeout`` by
        default, None for no limit) are given to those still at work, from the call on, before they
        are cut.

        Any thread or greenlet may call it, and a second call waits for the same end. In a
        handler of this server, on the serving greenlet and in a signal handler it asks and
        returns an empty list; the rest is then done by ``serve_forever`` and ``server_close``.
        """

    def wait_for_connections(operator, count, timeout=None):
        """Wait until the number of connections fits; whether it did.

        ``operator``: one of '==', '!=', '<', '<=', '>' and '>='; ValueError otherwise.
        ``timeout``: seconds, None for no limit.
        """


class IInspection(Interface):
    """What goes on in a server, from any thread."""

    connections = Attribute("The IConnections there are, the oldest first (list, made anew).")

    def kick(connection):
        """Cut one of ``connections``; whether it was still open."""
