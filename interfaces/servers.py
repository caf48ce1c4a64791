"""What a server promises.

``IServer`` is what any server has, socket or not; ``ISocketServer`` adds the socket it waits on;
``IStreamServer`` and ``IDatagramServer`` say what a request is. These four are what the standard
library's ``socketserver`` classes keep as well. ``IGreenServer`` is what greensock adds, under a
model also to those, and ``IBinding`` what its own servers know of opening a socket.

The hooks run in this order, the first group once, the second for every request::

    server_bind, server_activate
    get_request, verify_request, process_request, finish_request,
        (the handler's setup, handle, finish), shutdown_request, close_request

A handler that raises still has its ``finish`` run, then ``handle_error``, then
``shutdown_request``. If ``verify_request`` says no, ``shutdown_request`` follows at once.

Hooks may be overridden in a class, or assigned to one server at any time. One that is put into a
class while a server of it serves is called when that serves again, at the latest.
"""

from zope.interface import Attribute, Interface

from .operations import IAdmission, IBroadcasting, IDeadlines, IDraining, IInspection, ITLS
from .proxy import IProxied


class IServer(Interface):
    """Takes requests one after another and sees that each is handled."""

    timeout = Attribute(
        "Seconds ``handle_request`` waits before it calls ``handle_timeout``; None for no limit. "
        "``serve_forever`` ignores it."
    )
    server_address = Attribute("Where the server listens, in the form its address family uses.")
    RequestHandlerClass = Attribute("The IRequestHandlerFactory that handles each request.")

    def serve_forever(poll_interval=0.5):
        """Handle requests until ``shutdown()``.

        ``poll_interval``: seconds within which ``service_actions`` is called again, even when
        no request arrives. A server may be served again after it was shut down.
        """

    def shutdown():
        """Make ``serve_forever`` return, and wait until it has."""

    def handle_request():
        """Wait for one request, at most ``timeout`` seconds, and process it."""

    def service_actions():
        """Called on every turn of ``serve_forever``; never once shutdown was seen."""

    def handle_timeout():
        """Called by ``handle_request`` when no request came in time."""

    def verify_request(request, client_address):
        """Return True to process the request, False to shut it down unhandled."""

    def process_request(request, client_address):
        """See that the request is finished and shut down, now or elsewhere.

        This is the method a concurrency model replaces.
        """

    def finish_request(request, client_address):
        """Call ``RequestHandlerClass(request, client_address, self)``."""

    def handle_error(request, client_address):
        """Called inside the active ``except`` when a handler raised an Exception.

        A bare ``raise`` here re-raises what the handler raised. BaseExceptions that are not
        Exceptions never come here.
        """

    def shutdown_request(request):
        """End a request: say goodbye to the peer, then ``close_request``."""

    def close_request(request):
        """Free what the request holds."""

    def server_activate():
        """Called by the constructor once the server is bound."""

    def server_close():
        """Free what the server holds. A closed server handles no more requests."""

    def __enter__():
        """Return the server itself."""

    def __exit__(*args):
        """Call ``server_close()`` and nothing else."""


class ISocketServer(IServer):
    """A server that waits on one socket.

    If ``server_bind`` or ``server_activate`` raises in the constructor, ``server_close`` is
    called and the exception goes on to the caller: no descriptor stays open.
    """

    address_family = Attribute("The socket's family, such as ``socket.AF_INET``.")
    socket_type = Attribute("``socket.SOCK_STREAM`` or ``socket.SOCK_DGRAM``.")
    socket = Attribute("The socket the server waits on. Assigning another one replaces it.")
    allow_reuse_address = Attribute("Whether ``server_bind`` sets SO_REUSEADDR.")
    request_queue_size = Attribute("Connections the kernel keeps waiting (``listen``'s backlog).")

    def fileno():
        """The socket's file descriptor, for selectors."""

    def get_request():
        """Return ``(request, client_address)``.

        Called when the socket is readable; an OSError means that there was none after all.
        """

    def server_bind():
        """Bind the socket and set ``server_address`` to what it is bound to."""


class IStreamServer(ISocketServer):
    """A server of connections: the request is the connected socket.

    ``shutdown_request`` shuts the sending side and closes; ``close_request`` closes.
    """


class IDatagramServer(ISocketServer):
    """A server of datagrams: the request is ``(data, socket)``.

    ``data`` is one datagram (bytes); ``socket`` sends the answers and belongs to the server:
    ending a request leaves it open.
    """

    max_packet_size = Attribute("Bytes of a datagram that are kept; a longer one is cut there.")


class IBinding(ISocketServer):
    """How greensock's own servers open their socket.

    The attributes are checked and changed as those of ``interfaces.operations`` are, and hold when
    the server binds. What does not suit its address family is left alone, and so is a socket that
    was adopted: it keeps what its opener gave it.
    """

    allow_reuse_port = Attribute("For IP: whether ``server_bind`` sets SO_REUSEPORT.")
    dual_stack = Attribute(
        "For IPv6: True to take IPv4 clients too, False not to, None for the system's default."
    )
    unix_mode = Attribute(
        "For a path: its mode (int), such as 0o660; None for what the umask leaves. Who may not "
        "write there may not connect."
    )
    unix_owner = Attribute(
        "For a path: whose it is, None for the process's own. 'user', 'user:group', ':group', or "
        "'user:' for the user's login group; each a name or an id, and an int is a user's id."
    )

    def server_bind():
        """Bind the socket and set ``server_address`` to what it is bound to.

        With ``unix_mode`` or ``unix_owner`` nobody can connect before both are as they say.
        ValueError if there is no such user or group, or if the address is an abstract name, which
        has neither; PermissionError if the owner may not be changed. Then no path is left behind.
        """


class IGreenServer(
    IAdmission, IDeadlines, IBroadcasting, IProxied, ITLS, IDraining, IInspection, IServer
):
    """What a greensock server, or any server under a greensock model, promises beyond IServer.

    Accept and I/O run on the gevent hub of the thread that called ``serve_forever``: other
    greenlets of that thread keep running, and every hook may block. Nothing is allocated on a hub
    before that call.

    ``shutdown()`` works from anywhere: another thread, another greenlet, a signal handler, a
    handler. It returns once the loop has ended, except in a handler of this server, on the
    serving greenlet and in a signal handler, where it asks and returns. It may be called any
    number of times. Before the first ``serve_forever`` it is remembered, so that a server thread
    which is only starting stops at once; after the loop has ended it does nothing.

    ``serve_forever`` raises ``greensock.errors.AlreadyServing`` (a RuntimeError) when the server
    is being served already, and ValueError when it is closed. In a thread other than the main
    one it waits for the greenlets of its handlers before it returns, at most ``drain_timeout``,
    because they would freeze with the thread.

    ``server_close()`` ends the loop before it closes the socket, and waits for running handlers
    as the model's ``block_on_close`` says, at most ``drain_timeout``; then their connections are
    shut by force and an IConnectionCut is sent for each.

    ``process_request`` may be overridden to have requests handled elsewhere, as by threads of the
    application's own, which call ``finish_request`` there, or ``process_request_thread`` of a model
    that has it. It is there that a connection gets the form its thread needs, that TLS and a PROXY
    header begin, and that it is counted and listed from.

    What ``verify_request`` or ``get_request`` raises is reported and costs one connection, not
    the server. When descriptors or memory run out, one IAcceptPaused is sent, the loop
    pauses (10 ms, doubling to 1 s) and goes on as soon as there are some.
    """

    toolbox = Attribute("The IToolbox that is right under this server's concurrency model.")
    bus = Attribute(
        "An IBus for handlers. It is set to where that is, as ``greensock.bus.open_bus`` takes it "
        "(None, the default, for one within the process), on the server or in its class, and is "
        "the bus from then on. Each process makes its own when it uses it; if it is elsewhere, "
        "``serve_forever`` opens it before it takes requests, and raises BusError if that fails. "
        "``server_close`` closes it when handlers have ended. What is set to anything else than "
        "a str or None stays what it is, and is whoever's set it to close. ValueError for no bus."
    )
