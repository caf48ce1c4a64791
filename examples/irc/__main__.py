"""``python -m examples.irc``: serve until a signal comes."""

import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gevent

from greensock.bus import open_bus
from greensock.errors import BusError
from greensock.peers import address_text

from . import options as command_line
from .server import Client, Door, hall_class


def main(args: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    options = command_line.parse(args)
    if options.hash:
        print(command_line.line_for_account(*options.hash))
        return 0
    try:
        with _open(options) as server:
            logging.basicConfig(format="irc: %(message)s")
            _have_descriptors()
            listen_to_signals(server)
            print(f"irc: listening on {_place_of(server.socket)}, model {options.model}")
            if server.web is not None:
                scheme = "http" if server.ssl_context is None else "https"
                print(f"irc: a page for browsers is at {scheme}://{_web_place(server.web[0])}/")
            sys.stdout.flush()
            server.serve_forever()
    except BusError as error:
        print(f"irc: {error}", file=sys.stderr)
        return 1
    return 0


def _open(options: Any) -> Any:
    """The server, which listens. SystemExit if it cannot."""
    if options.bus is not None:
        try:
            open_bus(options.bus).close()
        except ImportError:
            raise SystemExit("irc: --bus takes redis: pip install 'greensock[redis]'") from None
    names: dict[str, Any] = {
        "name": options.name,
        "settings": options.settings,
        "ssl_context": options.ssl_context and staticmethod(options.ssl_context),
        "max_connections": options.max_clients,
        "max_connections_per_peer": options.max_per_host,
        "overload": "reject",
        "overload_reply": b"ERROR :Closing Link: (Too many connections)\r\n",
    }
    if options.bus is not None:
        names.update(bus=options.bus, shares_bus=True)
    if options.workers is not None:
        names["workers"] = options.workers
    if options.web is not None:
        page = _page(options.web_origin)
        # Under monkey patching no worker could use the socket, which would be of another hub.
        names["web"] = _listener(options.web).detach(), page
    base = hall_class(options.model)
    with _listening_on(options.bind):
        return type(base.__name__, (base,), names)(options.bind, Client)


def _page(origins: Sequence[str]) -> type:
    try:
        from .web import Page
    except ImportError:
        raise SystemExit("irc: --web takes wsproto: pip install 'greensock[examples]'") from None
    return type("Page", (Page,), {"origins": tuple(origins)})


def _listener(address: tuple[str, int]) -> socket.socket:
    """What all workers accept from."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with _listening_on(address):
        return socket.create_server(address, family=family, backlog=Door.request_queue_size)


@contextmanager
def _listening_on(address: tuple[str, int]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = address_text(address)
        is_named = isinstance(error, socket.gaierror)
        why = error.strerror if is_named else os.strerror(error.errno or 0)
        raise SystemExit(f"irc: cannot listen on {where}: {why}") from None


def _place_of(listener: socket.socket) -> str:
    return address_text(listener.getsockname())


def _web_place(descriptor: int) -> str:
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        return _place_of(listener)


def _have_descriptors() -> None:
    """As many as there may be: a client is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listen_to_signals(server: Any) -> None:
    if server.model == "prefork":
        return  # it does so itself
    gevent.get_hub()  # now, because whoever interrupts its making would make another one
    for number in signal.SIGINT, signal.SIGTERM:
        # Not at once: whoever is interrupted may have locked the network.
        signal.signal(number, lambda *_: server.toolbox.spawn(server.drain))
    if server.ssl_context is not None:
        signal.signal(signal.SIGHUP, lambda *_: _reload(server))


def _reload(server: Any) -> None:
    try:
        server.reload_tls()
    except (OSError, ValueError) as error:
        logging.getLogger("irc").warning("the certificates stay what they were: %s", error)


if __name__ == "__main__":
    sys.exit(main())
