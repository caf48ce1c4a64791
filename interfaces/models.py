"""What a concurrency model promises: where and when a request's handler runs."""

from zope.interface import Attribute

from .servers import IGreenServer


class IConcurrencyModel(IGreenServer):
    """A mixin, put before a server class, that chooses how requests run.

    It works over greensock's servers and over the standard library's, monkey-patched or not.
    Nothing a handler raises ends the server: an Exception goes to ``handle_error``, anything else
    is reported and ends that request. KeyboardInterrupt in the main thread is a Ctrl-C that
    landed in a handler, and ends ``serve_forever``.
    """

    model = Attribute("Its short name: 'inline', 'greenlet', 'thread', 'fork'.")
    block_on_close = Attribute("Whether ``server_close`` waits for running handlers.")

    def process_request(request, client_address):
        """Start the request's handler and return without waiting for its end.

        The connection belongs to the worker from here on; if this raises, to the caller.
        """


class IGreenletModel(IConcurrencyModel):
    """Greenlets handle the requests, all of them in the thread that serves."""

    reuse_greenlets = Attribute(
        "Whether a greenlet may handle one connection after another, if nobody can tell (bool, "
        "default True). What a handler keeps in a gevent.local or in a context variable ends with "
        "its request. A greenlet that somebody refers to when its request has ended, such as a "
        "gevent.Timeout that was started and not closed, is not used again."
    )
    max_workers = Attribute(
        "Greenlets that handle datagrams, at most (int, 1 or more; ValueError "
        "otherwise). While all of them wait, datagrams queue up in the system, which drops what it "
        "cannot hold and an IDatagramsDropped tells of. They are used again."
    )
