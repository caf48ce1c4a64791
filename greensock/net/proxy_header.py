"""A PROXY header as a value, and the bytes that it is sent as."""

import os
import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from zope.interface import implementer

from ..interfaces import IProxyHeader, IProxyTLS
from ..records import Value
from .literals import as_ipv6, ip_text, packed_ip

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""What version 2 begins with."""

START = struct.Struct("!12sBBH")
"""The beginning of version 2: signature, version and command, family, length of the rest."""

LOCAL, PROXY = 0x20, 0x21
UNKNOWN, IPV4, IPV6, UNIX = 0x00, 0x11, 0x21, 0x31

PATHS = struct.Struct("!108s108s")

_TLV = struct.Struct("!BH")
_ALPN, _AUTHORITY, CHECKSUM, _UNIQUE_ID, _TLS = 0x01, 0x02, 0x03, 0x05, 0x20
_TLS_VERSION, _TLS_COMMON_NAME, _TLS_CIPHER = 0x21, 0x22, 0x23
_TLS_START = struct.Struct("!BL")  # 5 bytes
_BY_TLS, _CERTIFICATE = 0x01, 0x06

_NOTHING: Mapping[int, bytes] = MappingProxyType({})


@implementer(IProxyTLS)
class ProxyTLS(Value):
    """See IProxyTLS."""

    version: str | None
    cipher: str | None
    common_name: str | None
    has_certificate: bool
    is_verified: bool


@implementer(IProxyHeader)
class ProxyHeader(Value):
    """Who a connection is for; see IProxyHeader.

    ``source``, ``destination``: the client's address and the one it has connected to, or None;
    ``tlvs``: a mapping of types to bytes; ``version``: 1 or 2.
    """

    source: Any
    destination: Any
    tlvs: Mapping[int, bytes]
    version: int
    is_local: bool

    def __init__(
        self,
        source: Any,
        destination: Any,
        tlvs: Mapping[int, bytes] = _NOTHING,
        version: int = 2,
        is_local: bool = False,
    ) -> None:
        super().__init__(
            source, destination, MappingProxyType(dict(tlvs)), version, is_local
        )

    def __reduce__(self) -> tuple[Any, ...]:
        facts = self.source, self.destination, dict(self.tlvs), self.version, self.is_local
        return type(self), facts

    @property
    def alpn(self) -> bytes | None:
        """The application's protocol."""
        return self.tlvs.get(_ALPN)

    @property
    def authority(self) -> str | None:
        """The host name that the client has asked for."""
        return _text(self.tlvs.get(_AUTHORITY))

    @property
    def unique_id(self) -> bytes | None:
        """What the proxy calls the connection."""
        return self.tlvs.get(_UNIQUE_ID)

    @property
    def tls(self) -> ProxyTLS | None:
        """What the proxy tells of the client's TLS."""
        told = self.tlvs.get(_TLS, b"")
        if len(told) < _TLS_START.size:
            return None
        flags, failure = _TLS_START.unpack_from(told)
        if not flags & _BY_TLS:
            return None
        more = split_tlvs(told[5:]) or _NOTHING
        has_certificate = bool(flags & _CERTIFICATE)
        return ProxyTLS(
            _text(more.get(_TLS_VERSION)),
            _text(more.get(_TLS_CIPHER)),
            _text(more.get(_TLS_COMMON_NAME)),
            has_certificate,
            has_certificate and not failure,
        )

    def __bytes__(self) -> bytes:
        if self.version not in (1, 2):
            raise ValueError(f"version is {self.version!r}; give 1 or 2")
        return _line(self) if self.version == 1 else _block(self)


def proxy_header_of(request: Any) -> ProxyHeader | None:
    """The IProxyHeader that a connection began with, by its handler's ``request``; or None."""
    try:
        return getattr(getattr(request, "meter", None), "proxy", None)
    except OSError:  # a gevent socket that is closed
        return None


def split_tlvs(data: bytes) -> dict[int, bytes] | None:
    """TLVs by type; None if they are not well-formed."""
    try:
        return {kind: data[start:end] for kind, start, end in _places(data)}
    except struct.error:
        return None


def _places(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The type of each TLV, and where its value is; struct.error if they are not well-formed."""
    end = 0
    while end < len(data):
        kind, size = _TLV.unpack_from(data, end)
        start, end = end + _TLV.size, end + _TLV.size + size
        if end > len(data):
            raise struct.error("the last value is cut off")
        yield kind, start, end


def with_checksum(block: bytes, at: int) -> bytes:
    """A header of version 2, whose TLVs begin at ``at``, with the right sums in them."""
    found = _places(block[at:])
    places = [(at + start, at + end) for kind, start, end in found if kind == CHECKSUM]
    filled = bytearray(block)
    for start, end in places:
        filled[start:end] = bytes(end - start)
    right = struct.pack("!L", _crc32c(filled))
    for start, end in places:
        filled[start:end] = right
    return bytes(filled)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def _line(header: ProxyHeader) -> bytes:
    family, source, destination = _addresses(header)
    if header.is_local or family not in (IPV4, IPV6):
        return b"PROXY UNKNOWN\r\n"
    name = "TCP4" if family == IPV4 else "TCP6"
    hosts = f"{ip_text(source[0])} {ip_text(destination[0])}"
    return f"PROXY {name} {hosts} {source[1]} {destination[1]}\r\n".encode()


def _block(header: ProxyHeader) -> bytes:
    family, source, destination = _addresses(header)
    tlvs = dict(header.tlvs)
    if CHECKSUM in tlvs:
        tlvs[CHECKSUM] = bytes(4)
    command, where = PROXY, b""
    if header.is_local:
        command, family, tlvs = LOCAL, UNKNOWN, {}
    elif family == UNIX:
        where = PATHS.pack(source, destination)
    elif family != UNKNOWN:
        where = source[0] + destination[0]
        where += struct.pack("!HH", source[1], destination[1])
    try:
        told = b"".join(_TLV.pack(kind, len(value)) + value for kind, value in tlvs.items())
        block = START.pack(SIGNATURE, command, family, len(where) + len(told)) + where + told
    except (struct.error, TypeError) as error:
        raise ValueError(
            f"tlvs cannot be written ({error}); give types from 0 to 255, and bytes, "
            "of which 64 KiB at most have room"
        ) from None
    return with_checksum(block, len(block) - len(told)) if CHECKSUM in tlvs else block


def _addresses(header: ProxyHeader) -> tuple[int, Any, Any]:
    """The family, and both addresses: as pairs of bytes and a port, or as bytes of a path."""
    both = header.source, header.destination
    if header.is_local or None in both:
        return UNKNOWN, None, None
    if all(isinstance(each, (str, bytes)) for each in both):
        return UNIX, _path(both[0]), _path(both[1])
    one, other = map(_pair, both)
    if len(one[0]) == len(other[0]) == 4:
        return IPV4, one, other
    return IPV6, (as_ipv6(one[0]), one[1]), (as_ipv6(other[0]), other[1])


def _path(address: str | bytes) -> bytes:
    path = os.fsencode(address)
    if len(path) > 108:
        raise ValueError(f"the path {address!r} is longer than 108 bytes, and fits into no header")
    return path


def _pair(address: Any) -> tuple[bytes, int]:
    try:
        host, port = address[:2]
        if 0 <= port <= 0xFFFF:
            return packed_ip(host), int(port)
    except (TypeError, ValueError, AttributeError):
        pass
    raise ValueError(
        f"{address!r} is no address for a PROXY header; give (host, port) with a literal for the "
        "host, or the path of a Unix socket, for both source and destination"
    )


def _crc32c(data: bytes | bytearray) -> int:
    """The checksum of RFC 3720, which the standard library has not."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _table()
