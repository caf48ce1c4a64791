"""SOCKS 5 as a server speaks it: RFC 1928, and RFC 1929 for names and passwords. No I/O.

Theory of operation. What a client sends is fed to a Conversation, which says what comes next: bytes
to be sent to it, a Login to be judged, a Request to be answered, or nothing before more has come.
No message is longer than 513 bytes, so that nobody can have more kept than is read at a time.
"""

import errno
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from socket import gaierror

CONNECT = 1

_VERSION, _LOGIN_VERSION = 5, 1
_FREE, _BY_PASSWORD, _NO_WAY = 0, 2, 0xFF
_IPV4, _NAME, _IPV6 = 1, 3, 4
_SIZES = {_IPV4: 4, _IPV6: 16}
_NOWHERE = ip_address("0.0.0.0"), 0


class Reply(IntEnum):
    """What became of a request."""

    SUCCEEDED = 0
    FAILED = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    EXPIRED = 6
    COMMAND_UNKNOWN = 7
    ADDRESS_UNKNOWN = 8


@dataclass(frozen=True)
class Login:
    """Who the client says it is (bytes)."""

    name: bytes
    password: bytes


@dataclass(frozen=True)
class Request:
    """What it wants: a ``command``, such as CONNECT, and a ``host`` (str) and ``port`` for it."""

    command: int
    host: str
    port: int


class SocksError(Exception):
    """The conversation cannot go on. ``answer``: what the client is to be told, before its end."""

    def __init__(self, reason, answer=b""):
        super().__init__(reason, answer)
        self.reason = reason
        self.answer = answer


class Conversation:
    """One client's. ``wants_login``: whether it must say who it is.

    ``rest``: what has come after the request, which is for whoever it is connected with.
    """

    def __init__(self, wants_login=False):
        self.rest = bytearray()
        self._wants_login = wants_login
        self._is_right = None
        self._steps = self._all_steps()

    def feed(self, data=b""):
        """Take ``data``. The next bytes to be sent, Login or Request; None if it takes more.

        SocksError for what is no SOCKS 5. A Login must be judged before it goes on. After the
        Request comes nothing.
        """
        self.rest += data
        return next(self._steps, None)

    def judge(self, is_right):
        """Say whether a Login is right; if not, going on raises SocksError."""
        self._is_right = is_right

    def _all_steps(self):
        version, count = yield from self._take(2)
        if version != _VERSION:
            raise SocksError(f"{version} is no version of SOCKS that is spoken here, which is 5")
        methods = yield from self._take(count)
        method = _BY_PASSWORD if self._wants_login else _FREE
        if method not in methods:
            raise SocksError("no way to log in that is known here", bytes([_VERSION, _NO_WAY]))
        yield bytes([_VERSION, method])
        if self._wants_login:
            yield from self._login()
        yield (yield from self._request())

    def _login(self):
        version, size = yield from self._take(2)
        if version != _LOGIN_VERSION:
            raise SocksError(f"{version} is no version of a login, which is 1")
        name = yield from self._take(size)
        (size,) = yield from self._take(1)
        password = yield from self._take(size)
        yield Login(name, password)
        if not self._is_right:
            raise SocksError("wrong name or password", bytes([_LOGIN_VERSION, 1]))
        yield bytes([_LOGIN_VERSION, 0])

    def _request(self):
        version, command, _, kind = yield from self._take(4)
        if version != _VERSION:
            raise SocksError(f"a request of version {version}, after a greeting of 5")
        if kind == _NAME:
            (size,) = yield from self._take(1)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise SocksError(f"{kind} is no type of address", reply(Reply.ADDRESS_UNKNOWN))
        host = yield from self._take(size)
        port = int.from_bytes((yield from self._take(2)), "big")
        if kind == _NAME:
            if not host or not all(0x20 < byte < 0x7F for byte in host):
                raise SocksError(f"{host!r} is no name", reply(Reply.HOST_UNREACHABLE))
            return Request(command, host.decode("ascii"), port)
        return Request(command, str(ip_address(host)), port)

    def _take(self, size):
        while len(self.rest) < size:
            yield None
        taken = bytes(self.rest[:size])
        del self.rest[:size]
        return taken


def reply(code, address=None):
    """The bytes that tell what became of a request, and which address it now has, or None."""
    ip, port = _NOWHERE
    if address is not None:
        ip, port = ip_address(address[0].partition("%")[0]), address[1]
    kind = _IPV4 if ip.version == 4 else _IPV6
    return bytes([_VERSION, code, 0, kind]) + ip.packed + port.to_bytes(2, "big")


_CODES = {
    errno.EACCES: Reply.NOT_ALLOWED,
    errno.EPERM: Reply.NOT_ALLOWED,
    errno.ENETUNREACH: Reply.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Reply.HOST_UNREACHABLE,
    errno.ECONNREFUSED: Reply.REFUSED,
    errno.ETIMEDOUT: Reply.EXPIRED,
}


def code_of(error):
    """The Reply for the OSError that connecting has ended in."""
    if isinstance(error, gaierror):
        return Reply.HOST_UNREACHABLE
    if isinstance(error, TimeoutError):
        return Reply.EXPIRED
    return _CODES.get(error.errno, Reply.FAILED)
