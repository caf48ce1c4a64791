"""What a request handler promises, and what ``request`` is.

Under any model ``request`` has the socket API. For a stream server it is

==========  ======================================  =========================================
model       in a plain process                      in a monkey-patched process
==========  ======================================  =========================================
inline      a gevent socket                         a gevent socket
greenlet    a gevent socket                         a gevent socket
thread      a blocking ``socket.socket``            a gevent socket on the thread's own hub
fork        a blocking ``socket.socket``            a gevent socket on the child's own hub
==========  ======================================  =========================================

and an ``SSLSocket`` of the same kind when the server's socket is TLS-wrapped; the handshake has
been made by the worker then. Do not carry it into another thread.
"""

from zope.interface import Attribute, Interface


class IRequestHandlerFactory(Interface):
    """What a server calls for every request: a handler class, usually.

    Classes and functions need not declare it: a server takes whatever can be called like this,
    or with the request and the client's address alone.
    """

    def __call__(request, client_address, server):
        """Handle one request from beginning to end, then return.

        ``request``: the connected socket, or ``(data, socket)`` for a datagram.
        ``client_address``: the peer, in the form its address family uses.
        ``server``: the IServer. The return value is ignored. The server ends the request
        afterwards; the factory need not close anything.
        """


class IRequestHandler(Interface):
    """One request, handled by its constructor: ``setup``, ``handle``, ``finish``.

    ``finish`` runs even when ``handle`` raised, but not when ``setup`` did.
    """

    request = Attribute("The request, as IRequestHandlerFactory gets it.")
    client_address = Attribute("The peer's address.")
    server = Attribute("The server.")

    def setup():
        """Prepare. What it raises skips ``handle`` and ``finish``."""

    def handle():
        """Do the work. Overridden by every handler."""

    def finish():
        """Clean up. It does not end the connection: the server does that next."""


class IGreenRequestHandler(IRequestHandler):
    """What greensock's handlers have beyond IRequestHandler, to be the same under every model."""

    parked = Attribute(
        """Whether a connection rests between messages; False unless a class says True.

        Then ``handle`` is called whenever there is something to read, deals with one message or
        more, and returns instead of waiting for the next: ``setup`` and ``finish`` run once for
        the connection, ``handle`` many times on the same handler. When the peer has sent its
        last, ``finish`` is called. To end the connection earlier, ``handle`` shuts it or raises.

        Under the greenlet model a connection at rest holds no greenlet, only its socket and its
        handler. Closing the server closes it at once. A timeout of the connection goes on while
        it rests, and is raised as if ``handle`` had waited. Under other models, under TLS and for
        a handler whose server has its own ``process_request_thread``, the worker waits instead.
        Without rfile, ``handle`` must read with ``recv`` from ``self.request``, and TLS is not
        possible.
        """
    )

    toolbox = Attribute("The IToolbox that is right under the server's model.")

    proxy_header = Attribute("The IProxyHeader that the connection began with; None without one.")

    draining = Attribute(
        """None, or a method without arguments, called once when the server begins to drain.

        It should note that, so that ``handle`` comes to an end, and return: others are told after
        it, and in a forked child it is a signal handler that calls it. It comes after ``setup``:
        inline and under greenlets in the serving thread, under threads in any. What it raises
        is reported. Connections that are idle need none, they find that nothing follows.
        """
    )

    def post(data):
        """Send ``data``, without ever waiting; see IConnection.

        RuntimeError if this is no connection of a greensock server.
        """

    def hang_up():
        """End the connection in order, without ever waiting; see IConnection.

        RuntimeError if this is no connection of a greensock server.
        """

    def switch_to_tls(context=None):
        """Shake hands, and go on under TLS: ``request`` is an ``SSLSocket`` from then on.

        For protocols where the client asks for it (STARTTLS): answer it first. ``context``: an
        ``ssl.SSLContext``; None for the server's ``ssl_context``, which then goes with
        ``implicit_tls`` False. ``rfile`` and ``wfile`` are made anew. OSError, such as
        ``ssl.SSLError``, if the handshake fails or takes longer than ``handshake_timeout``.
        ConnectionError if there is something in ``rfile`` already that came before the handshake,
        and that nobody shall take for what came after (CVE-2011-0411). RuntimeError if it speaks
        TLS already, or there is no context.
        """


class IStreamRequestHandler(IRequestHandler):
    """A handler of one connection, with file objects for it."""

    connection = Attribute("The connected socket; the same as ``request``.")
    rfile = Attribute("A binary file to read from, buffered by ``rbufsize``.")
    wfile = Attribute(
        "A binary file to write to. Unbuffered (``wbufsize`` 0), ``write`` sends everything "
        "and returns the number of bytes."
    )
    rbufsize = Attribute("Bytes of read buffer; -1 for the default size, 0 for none.")
    wbufsize = Attribute("Bytes of write buffer; 0 sends at once.")
    timeout = Attribute("Seconds one read or write may take; None for no limit.")
    disable_nagle_algorithm = Attribute("Whether ``setup`` sets TCP_NODELAY.")


class IDatagramRequestHandler(IRequestHandler):
    """A handler of one datagram. ``finish`` sends what was written, even if it is nothing."""

    packet = Attribute("The datagram, bytes.")
    socket = Attribute("The server's socket, to send with.")
    rfile = Attribute("The datagram as a binary file.")
    wfile = Attribute("A binary file whose content ``finish`` sends as one datagram.")
