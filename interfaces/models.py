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
