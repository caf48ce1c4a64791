"""Where a Redis is, how to connect to it, and what to say when that fails.

redis-py knows URLs, passwords, certificates and the words of the protocol. The socket is ours, made
where redis-py would make one of its own, which would block the hub of an unpatched process.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from ..errors import BusError
from ..net import native
from .wire import SecureWire, Silence, Wire, dialed

try:
    from redis.connection import (
        Connection,
        SSLConnection,
        UnixDomainSocketConnection,
        parse_url,
    )
    from redis.exceptions import AuthenticationError, NoScriptError, RedisError
except ImportError as error:
    raise ImportError(
        "a bus of Redis needs the package redis, 5.0 or newer: pip install greensock[redis]",
        name=error.name,
    ) from error

__all__ = ["NoScriptError", "Place"]

# Seconds until a Redis that does not answer is thought to be gone: a healthy one takes milliseconds
# to do so, and a packet that was lost twice is there after a second.
PATIENCE = 5.0

# Connections of one process to publish through. Each has one message under way at a time, and Redis
# handles one at a time.
MOST = 10


class _TCPConnection(Connection):
    def _connect(self) -> Wire:
        sock = dialed((self.host, self.port), self.socket_connect_timeout)
        for option, value in (self.socket_keepalive_options or {}).items():
            sock.setsockopt(6, option, value)
        return Wire(sock, self.socket_timeout)


class _TLSConnection(SSLConnection):
    def _connect(self) -> Wire:
        sock = dialed((self.host, self.port), self.socket_connect_timeout)
        try:
            context = _context_of(self)
            wire = SecureWire(sock, self.socket_connect_timeout, context, self.host)
            wire.handshake()
        except BaseException:
            sock.close()
            raise
        wire.settimeout(self.socket_timeout)
        return wire


class _UnixConnection(UnixDomainSocketConnection):
    def _connect(self) -> Wire:
        sock = native.Socket(1)
        try:
            sock.setblocking(False)  # at once, or not at all
            sock.connect(self.path)
        except BaseException:
            sock.close()
            raise
        return Wire(sock, self.socket_timeout)


_OURS: dict[type, Any] = {
    Connection: _TCPConnection,
    SSLConnection: _TLSConnection,
    UnixDomainSocketConnection: _UnixConnection,
}


def _context_of(connection: Any) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = connection.check_hostname
    context.verify_mode = connection.cert_reqs
    if connection.certfile or connection.keyfile:
        context.load_cert_chain(
            connection.certfile, connection.keyfile, connection.certificate_password
        )
    authorities = connection.ca_certs, connection.ca_path, connection.ca_data
    if any(authorities):
        context.load_verify_locations(*authorities)
    least = getattr(connection, "ssl_min_version", None)
    if least is not None:
        context.minimum_version = least
    if ciphers := getattr(connection, "ssl_ciphers", None):
        context.set_ciphers(ciphers)
    return context


class Place:
    """Where a Redis is. ValueError if ``url`` does not say so.

    ``shown``: the URL without its password. ``db``: the number of the database. ``most``: how many
    connections there may be to publish through, and ``patience``: seconds to wait for one.
    """

    def __init__(self, url: str) -> None:
        self.shown = _without_password(url)
        try:
            options = _options_of(url)
            self._kind = _OURS[options.pop("connection_class", Connection)]
            self.most = int(options.pop("max_connections", MOST))
            self.patience = float(options.pop("timeout", PATIENCE))
            if self.most < 1 or not 0 < self.patience < inf:
                raise ValueError("max_connections is 1 or more, and timeout seconds above 0")
            self._options = {
                "socket_timeout": PATIENCE,
                "socket_connect_timeout": PATIENCE,
                **options,
                "protocol": 3,
                "decode_responses": False,
            }
            self.db = self.connection().db
        except (TypeError, ValueError, RedisError) as error:
            raise ValueError(
                f"{self.shown!r} is no bus: {error}; give 'redis://HOST:PORT/DB', "
                "'rediss://HOST:PORT/DB' for TLS, or 'unix:///PATH'"
            ) from None

    def connection(self) -> Any:
        """A connection of redis-py's that is still to be made."""
        connection = self._kind(**self._options)
        # redis-py 5 forgets it for Unix sockets.
        connection.socket_timeout = self._options["socket_timeout"]
        return connection

    @contextmanager
    def clear_errors(self) -> Iterator[None]:
        """What redis-py raises in the block is raised as a BusError."""
        try:
            yield
        except (RedisError, OSError) as error:
            deadline = _deadline_in(error)
            if deadline is not None:
                raise deadline from None
            raise BusError(self._explain(error)) from error

    def _explain(self, error: Exception) -> str:
        text = str(error)
        if isinstance(error, AuthenticationError):
            if "HELLO must be called" in text or "required" in text:
                return (
                    f"Redis at {self.shown} wants a password: put it into the URL, as in "
                    "'redis://:PASSWORD@HOST:PORT/DB'"
                )
            return f"Redis at {self.shown} refuses the password: {text}"
        if "NOPROTO" in text or "unknown command" in text:
            return f"what is at {self.shown} is no Redis 6 or newer: {text}"
        return f"Redis at {self.shown} cannot be used: {text}"


def _options_of(url: str) -> dict[str, Any]:
    options = parse_url(url)
    if "ssl_validate_ocsp" in url:
        raise ValueError("OCSP is not looked at here")
    path = url.partition("://")[2].partition("?")[0].partition("/")[2]
    if not url.startswith("unix:") and path and not path.isdecimal():
        raise ValueError(f"the database is {path!r}, and no number")
    if url.startswith("unix:") and not options.get("path"):
        raise ValueError("it has no path")
    return options


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    place = rest.partition("?")[0]  # a password may stand behind that, too
    return f"{scheme}://{place.rpartition('@')[2]}"


def _deadline_in(error: BaseException | None) -> TimeoutError | None:
    """The TimeoutError of the caller's own deadline, if that is behind it."""
    while error is not None:
        if isinstance(error, TimeoutError) and not isinstance(error, Silence):
            return error if error.errno is None else None
        error = error.__cause__ or error.__context__
    return None
