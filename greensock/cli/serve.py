"""``greensock serve``: servers side by side in one process, from their opening to their end."""

import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import NoReturn

import gevent

from ..net.crossing import Event
from ..servers import TCPServer
from .endpoints import parse_endpoint
from .loading import load_handler
from .opening import open_server, place_of

DEFAULT = "tcp://127.0.0.1:9000"

logger = logging.getLogger("greensock")


def prepare(options: Namespace) -> Callable[[], int]:
    """Open what is asked for; return the function that serves it and returns the exit status."""
    endpoints = [parse_endpoint(text) for text in options.bind or [DEFAULT]]
    handler = load_handler(options.handler)
    logging.basicConfig(
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    servers: list[TCPServer] = []
    try:
        for endpoint in endpoints:
            servers.append(open_server(endpoint, handler, options.model, options.drain_timeout))
    except BaseException:
        for server in servers:
            server.server_close()
        raise

    def announce() -> None:
        for endpoint, server in zip(endpoints, servers):
            place = place_of(server)
            if endpoint.transport == "fd":
                place += f" ({endpoint})"
            print(f"greensock: serving {options.handler} on {place}, model {options.model}")
        sys.stdout.flush()

    return lambda: _serve(servers, announce)


def _serve(servers: Sequence[TCPServer], announce: Callable[[], None]) -> int:
    """Serve until a signal comes or every server was shut down; then drain and close."""
    enough = Event()

    def stop(number: int, frame: object) -> None:
        if enough.is_set():
            _end_at_once(servers, number)
        enough.set()

    tasks = [gevent.spawn(server.serve_forever) for server in servers]
    gevent.spawn(lambda: gevent.joinall(tasks)).link(lambda _: enough.set())
    for number in (signal.SIGINT, signal.SIGTERM):
        # Ignored it stays, as for every program that a shell started in the background.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    announce()
    try:
        enough.wait()
    finally:
        gevent.joinall([gevent.spawn(_close, server) for server in servers])
    status = int(any(task.exception is not None for task in tasks))
    if any(getattr(server, "_threads", ()) for server in servers):
        _exit_past_threads(status)
    return status


def _close(server: TCPServer) -> None:
    # Without a model the handler at work is the serving greenlet's, and shutdown waits for it.
    with gevent.Timeout(server.drain_timeout, False):
        server.shutdown()
    logger.info("%s takes no more; waiting for the handlers at work", place_of(server))
    server.server_close()


def _exit_past_threads(status: int) -> NoReturn:
    """Exit although threads run that did not notice that their connection was cut."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def _end_at_once(servers: Sequence[TCPServer], number: int) -> None:
    """Die of a signal, and take the children along."""
    for server in servers:
        for pid in getattr(server, "active_children", None) or ():
            os.kill(pid, signal.SIGTERM)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
