"""``greensock serve``: servers side by side in one process, from their opening to their end."""

import logging
import os
import signal
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NoReturn

import gevent

from ..net.crossing import Event
from ..net.systemd import Watchdog, notify, notify_reloading
from ..servers import TCPServer
from . import supervising
from .endpoints import parse_endpoint
from .loading import load_handler
from .locating import locate
from .messaging import check_bus
from .opening import open_server, place_of
from .options import settings_of
from .output import finish, flush, say
from .suiting import check_settings_suit
from .telemetry import Telemetry, begin_log

DEFAULT = "tcp://127.0.0.1:9000"

logger = logging.getLogger("greensock")


def prepare(options: Namespace) -> Callable[[], int]:
    """Open what is asked for; return the function that serves it and returns the exit status."""
    endpoints = [parse_endpoint(text) for text in options.bind or [DEFAULT]]
    settings = settings_of(options)
    if "bus" in settings:
        check_bus(settings["bus"])
    if "workers" in settings:
        return supervising.prepare(options, endpoints, settings)
    handler = load_handler(options.handler)
    begin_log(options)
    locations = locate(endpoints)
    check_settings_suit(settings, options.model, locations)
    servers: list[TCPServer] = []
    try:
        for location in locations:
            servers.append(open_server(location, handler, options.model, settings))
            servers[-1]._gs_deaf_to = (signal.SIGINT,)
        telemetry = Telemetry(options, servers)
    except BaseException:
        for server in servers:
            server.server_close()
        raise

    def announce() -> None:
        places = [place_of(server) for server in servers]
        for location, place in zip(locations, places):
            if location.is_adopted:
                place += f" ({location.endpoint})"
            say(f"greensock: serving {options.handler} on {place}, model {options.model}")
        telemetry.announce()
        flush()
        notify("READY=1", f"STATUS=serving {options.handler} on {', '.join(places)}")

    def serve() -> int:
        with telemetry, closing(Watchdog(gevent.get_hub())):
            return _serve(servers, announce, telemetry.is_about_to_end, options.lag)

    return serve


def _serve(
    servers: Sequence[TCPServer],
    announce: Callable[[], None],
    about_to_end: Callable[[], None],
    ready_lag: float,
) -> int:
    """Serve until a signal comes or every server was shut down; then drain."""
    enough = Event()

    def stop(number: int, frame: object) -> None:
        if enough.is_set():
            _end_at_once(servers, number)
        enough.set()

    tasks = [gevent.spawn(server.serve_forever) for server in servers]
    gevent.spawn(lambda: gevent.joinall(tasks)).link(lambda _: enough.set())
    _hear(signal.SIGINT, stop)
    _hear(signal.SIGTERM, stop)
    _hear(signal.SIGHUP, lambda number, frame: _reload(servers))
    announce()
    try:
        enough.wait()
        about_to_end()
        if ready_lag and not all(task.ready() for task in tasks):
            gevent.joinall(tasks, timeout=ready_lag)
    finally:
        notify("STOPPING=1", "STATUS=waiting for the handlers at work")
        gevent.joinall([gevent.spawn(_drain, server) for server in servers])
    finish()
    status = int(any(task.exception is not None for task in tasks))
    if any(getattr(server, "_threads", ()) for server in servers):
        _exit_past_threads(status)
    return status


def _hear(number: signal.Signals, handler: Callable[[int, object], None]) -> None:
    # Ignored it stays, as for every program that a shell started in the background.
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)


def _drain(server: TCPServer) -> None:
    logger.info("%s takes no more; waiting for the handlers at work", place_of(server))
    server.drain()


def _reload(servers: Sequence[TCPServer]) -> None:
    notify_reloading()
    for server in servers:
        if callable(server.ssl_context):
            try:
                server.reload_tls()
            except Exception as error:
                logger.error("the certificates stay what they were: %s", error)
    notify("READY=1")


def _exit_past_threads(status: int) -> NoReturn:
    """Exit although threads run that did not notice that their connection was cut."""
    logging.shutdown()
    os._exit(status)


def _end_at_once(servers: Sequence[TCPServer], number: int) -> None:
    """Die of a signal, and take the children along."""
    for server in servers:
        for pid in getattr(server, "active_children", None) or ():
            os.kill(pid, signal.SIGTERM)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
