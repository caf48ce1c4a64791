"""IP addresses as text. No I/O.

The module ``ipaddress`` knows more, and costs a process that needs it for nothing else 0.3 MB.
"""

import socket

_MAPPED = bytes(10) + b"\xff\xff"


def packed_ip(host: str) -> bytes:
    """The 4 bytes of an IPv4 address, in its own notation or in that of IPv6, or 16 of IPv6.

    A zone, as in ``fe80::1%eth0``, does not count. ValueError if it is none.
    """
    literal = host.partition("%")[0]
    try:
        return socket.inet_pton(socket.AF_INET, literal)
    except OSError:
        pass
    try:
        packed = socket.inet_pton(socket.AF_INET6, literal)
    except OSError:
        raise ValueError(f"{host!r} is no IP address") from None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def as_ipv6(packed: bytes) -> bytes:
    """The 16 bytes that stand for an address of 4 or 16."""
    return packed if len(packed) == 16 else _MAPPED + packed


def ip_text(packed: bytes) -> str:
    """The text of an address of 4 or 16 bytes."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
