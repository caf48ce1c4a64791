"""From bytes to a PROXY header. Nothing here knows a socket.

Rule: whatever comes, nothing but ProxyHeaderError is raised, and no more is wanted than LONGEST.

The addresses are read by the package proxy-protocol. What it takes lightly is looked at here,
before it gets to see anything: the length, the form of the numbers, and the TLVs, of which it would
lose some, take what is cut off, and reckon their checksum as if they stood in the order of their
types. Of paths it knows only those in ASCII.
"""

import os
import re
import socket
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from ..errors import ProxyHeaderError
from .proxy_header import CHECKSUM, LOCAL, PATHS, PROXY, SIGNATURE, START
from .proxy_header import ProxyHeader, split_tlvs, with_checksum

LONGEST_LINE = 107
"""Bytes of version 1, at most: so many has the longest that can be right."""

LONGEST = 4096
"""Bytes of version 2, at most. Without a certificate among the TLVs, few have more than 500."""

# What there is to tell from each other before anything else comes.
_BEGINNINGS = (b"PROXY ", SIGNATURE)
LONGEST_BEGINNING = max(map(len, _BEGINNINGS))

_LINE = re.compile(
    rb"PROXY (UNKNOWN( [^\r\n]*)?|TCP4( [0-9.]{7,15}){2}( [0-9]{1,5}){2}"
    rb"|TCP6( [0-9A-Fa-f:.]{2,39}){2}( [0-9]{1,5}){2})\r\n"
)

# By the upper half of the byte that tells the family: bytes of the addresses.
_ADDRESSES = {0: 0, 1: 12, 2: 36, 3: 216}
_UNKNOWN, _UNIX = 0, 3
_MOST_TRANSPORT = 2


@lru_cache(maxsize=1)
def load_library() -> Any:
    """The parsers of the package; ImportError that says how to get it."""
    try:
        from proxyprotocol.v1 import ProxyProtocolV1
        from proxyprotocol.v2 import ProxyProtocolV2
    except ImportError as error:
        raise ImportError(
            "proxy_protocol needs the package proxy-protocol: pip install 'greensock[proxy]'",
            name=error.name,
        ) from error
    return SimpleNamespace(v1=ProxyProtocolV1(), v2=ProxyProtocolV2())


def begins_header(data: bytes) -> bool | None:
    """Whether ``data``, the first that came, begins a header; None if more must tell."""
    if data.startswith(_BEGINNINGS):
        return True
    return None if any(each.startswith(data) for each in _BEGINNINGS) else False


class ProxyParser:
    """Takes what comes, until there is a header."""

    def __init__(self) -> None:
        self._data = b""  # of the header

    def feed(self, data: bytes) -> tuple[ProxyHeader, bytes] | tuple[None, Any]:
        """The header and what came after it; (None, None) while more of it must come.

        ProxyHeaderError if there will be none. After that, or a header, it takes no more.
        """
        whole = self._data + data
        size = _size(whole)
        self._data = whole[:size]
        if size is None or len(whole) < size:
            return None, None
        return parse_header(self._data), whole[size:]

    @property
    def taken(self) -> bytes:
        """What the header was, as far as it has come."""
        return self._data

    def end(self) -> ProxyHeaderError:
        """The peer has ended: the error that says so."""
        if self._data:
            return ProxyHeaderError(f"it ends after {len(self._data)} bytes")
        return ProxyHeaderError("the peer has ended without one", "missing")


def _size(data: bytes) -> int | None:
    """How long the header is that ``data`` begins with; None if that is not known yet."""
    begins = begins_header(data)
    if begins is None:
        return None
    if not begins:
        raise ProxyHeaderError(f"it begins with {data[:LONGEST_BEGINNING]!r}", "missing")
    if not data.startswith(SIGNATURE):
        end = data.find(b"\n", 0, LONGEST_LINE)
        if end < 0 and len(data) >= LONGEST_LINE:
            raise ProxyHeaderError(f"no line ends within {LONGEST_LINE} bytes")
        return end + 1 or None
    if len(data) < START.size:
        return None
    _, command, _, more = START.unpack_from(data)
    if command not in (LOCAL, PROXY):
        raise ProxyHeaderError(f"its version and command are {command:#04x}, not known")
    if START.size + more > LONGEST:
        raise ProxyHeaderError(f"it has {START.size + more} bytes, more than {LONGEST}")
    return START.size + more


def parse_header(data: bytes) -> ProxyHeader:
    """The header that ``data`` is; ProxyHeaderError if it is none."""
    library = load_library()
    parse = _parse_block if data.startswith(SIGNATURE) else _parse_line
    try:
        return parse(data, library)
    except ProxyHeaderError:
        raise
    except Exception as error:  # such as struct.error
        raise ProxyHeaderError(f"{_shown(data)} is none: {error}") from error


def _parse_line(data: bytes, library: Any) -> ProxyHeader:
    if not _LINE.fullmatch(data):
        raise ProxyHeaderError(f"{_shown(data)} is none")
    result = library.v1.unpack(data)
    return ProxyHeader(_address(result.source), _address(result.dest), version=1)


def _parse_block(data: bytes, library: Any) -> ProxyHeader:
    _, command, family_and_transport, _ = START.unpack_from(data)
    if command == LOCAL:
        return ProxyHeader(None, None, is_local=True)  # and nothing else that it says counts
    family, transport = divmod(family_and_transport, 16)
    if family not in _ADDRESSES or transport > _MOST_TRANSPORT:
        raise ProxyHeaderError(f"its family is {family_and_transport:#04x}, which is not known")
    end = START.size + _ADDRESSES[family]
    if len(data) < end:
        raise ProxyHeaderError(f"it has {len(data)} bytes, and its addresses alone need {end}")
    tlvs = split_tlvs(data[end:])
    if family == _UNKNOWN:
        return ProxyHeader(None, None, tlvs or {})  # what it holds may be of any form
    if tlvs is None:
        raise ProxyHeaderError("its TLVs are longer than it is itself")
    if CHECKSUM in tlvs and with_checksum(data, end) != data:
        raise ProxyHeaderError("its checksum is wrong")
    if family == _UNIX:
        source, destination = map(_path, PATHS.unpack_from(data, START.size))
        return ProxyHeader(source, destination, tlvs)
    addresses = START.pack(SIGNATURE, command, family_and_transport, end - START.size)
    result = library.v2.unpack(addresses + data[16:end])
    return ProxyHeader(_address(result.source), _address(result.dest), tlvs)


def _address(address: Any) -> Any:
    """In the form in which sockets have it."""
    if address is None:
        return None
    ip, port = address
    if ip.version == 4:
        return str(ip), port
    return socket.inet_ntop(socket.AF_INET6, ip.packed), port, 0, 0


def _path(field: bytes) -> str | bytes:
    """As sockets have it: an abstract name is bytes that begin with NUL."""
    if field[:1] == b"\0":
        return field.rstrip(b"\0") or ""
    return os.fsdecode(field.partition(b"\0")[0])


def _shown(data: bytes) -> str:
    return repr(data) if len(data) <= LONGEST_LINE else f"{data[:LONGEST_LINE]!r}..."
