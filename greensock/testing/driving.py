"""Serving in a thread, and being a client."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .trial import Call, Trial


@contextmanager
def serving(server: Any, trial: Trial | None = None) -> Iterator[Call]:
    """Serve in a thread of its own while the block runs, then shut down and close the server.

    AssertionError if ``serve_forever`` raises, or one of the three does not return in time.
    """
    trial = trial or Trial(server)
    run = begin(server, trial)
    try:
        yield run
        trial.call(server.shutdown, "shutdown()")
        run.result()
    except BaseException:
        _abandon(server, trial)
        raise
    trial.call(server.server_close, "server_close()")


def begin(server: Any, trial: Trial) -> Call:
    """Start serving in a thread of its own."""
    return trial.start(lambda: server.serve_forever(poll_interval=0.05), "serve_forever()")


def _abandon(server: Any, trial: Trial) -> None:
    # Something is broken already, and what this runs into is not worth telling.
    for end in server.shutdown, server.server_close:
        trial.start(end, "the end").goes_on(min(1.0, trial.patience))


@contextmanager
def connected(server: Any, patience: float) -> Iterator[socket.socket]:
    """A client's socket, connected to the server; every wait on it takes ``patience`` at most."""
    with socket.socket(server.address_family, server.socket_type) as client:
        client.settimeout(patience)
        with _place_for(client, server):
            client.connect(server.server_address)
            yield client


@contextmanager
def _place_for(client: socket.socket, server: Any) -> Iterator[None]:
    # A Unix datagram is answered to the path its sender is bound to.
    if (server.address_family, server.socket_type) != (
        getattr(socket, "AF_UNIX", None),
        socket.SOCK_DGRAM,
    ):
        yield
        return
    directory = tempfile.mkdtemp()
    path = os.path.join(directory, "client")
    client.bind(path)
    try:
        yield
    finally:
        os.unlink(path)
        os.rmdir(directory)


def read_all(client: socket.socket) -> bytes:
    """One datagram, or all that a connection brings until it ends."""
    if client.type == socket.SOCK_DGRAM:
        return client.recv(65535)
    return b"".join(iter(lambda: client.recv(65536), b""))


def what_came(client: socket.socket) -> bytes:
    """All that a connection brings until its end, a reset too; the client hangs up then."""
    data = b""
    with suppress(ConnectionError):
        while part := client.recv(65536):
            data += part
    hang_up(client)
    return data


def ask(server: Any, data: bytes, patience: float) -> bytes:
    """Be a client who sends ``data`` and returns all that comes back."""
    with connected(server, patience) as client:
        say(client, data)
        return read_all(client)


def say(client: socket.socket, data: bytes) -> None:
    """Send ``data`` and, over a connection, that there is no more."""
    # The server may have refused it by now; then reading tells.
    with suppress(OSError):
        if client.type == socket.SOCK_DGRAM:
            client.send(data)
        else:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)


def hang_up(client: socket.socket) -> None:
    """End a connection. Closing would not, where a forked child has inherited the socket."""
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
