"""Where a status server listens, and under which names it may be asked. No I/O."""

import re
from typing import Any

from ..peers import address_text
from .literals import packed_ip

LOOPBACK = "127.0.0.1"
_LOOPBACK = packed_ip("::1")

_EXPECTED = "write PORT for 127.0.0.1, HOST:PORT or [HOST]:PORT, as in 127.0.0.1:9100"


def parse_address(text: str | int) -> tuple[str, int]:
    """The host and port that ``PORT``, ``HOST:PORT`` or ``[HOST]:PORT`` names, or ValueError.

    A port alone is one on 127.0.0.1, and so is one without a host, as in ``:9100``. Nothing is
    open to other machines unless it is said, as by ``0.0.0.0:9100``.
    """
    host, _, port = str(text).rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(f"{text!r} has no port from 0 to 65535: {_EXPECTED}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host or "[" in host or "]" in host:
        raise ValueError(f"{text!r} has an IPv6 address without brackets: {_EXPECTED}")
    elif "/" in host:
        raise ValueError(f"{text!r} is no address: {_EXPECTED}")
    return host or LOOPBACK, int(port)


def is_address(text: object) -> bool:
    """Whether ``parse_address`` can read it."""
    try:
        parse_address(text)  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def url_of(address: Any) -> str:
    """Where a browser finds the page of a status server at ``address``."""
    return f"http://{address_text(address)}/"


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an IP address that only this machine can reach."""
    try:
        packed = packed_ip(host)
    except ValueError:
        return False
    return packed[0] == 127 if len(packed) == 4 else packed == _LOOPBACK


def is_local_name(header: str) -> bool:
    """Whether a Host header means this machine, whatever its port.

    Any other name may have been made to lead here by whoever owns it, who then reads with the
    browsers of those who visit him (DNS rebinding).
    """
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^][:]+))(?::[0-9]*)?", header)
    if found is None:
        return False
    host = found[1] or found[2]
    return host.lower() == "localhost" or is_loopback(host)
