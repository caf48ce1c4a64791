"""What ``--bind`` says, taken apart. Nothing is opened or looked up here."""

from collections.abc import Callable
from typing import Any

from ..errors import EndpointError
from ..records import Value

FORMS = "tcp://HOST:PORT, udp://HOST:PORT, unix:PATH, unixgram:PATH, fd://N or systemd:NAME"


class Endpoint(Value):
    """A place to listen at.

    ``transport`` is 'tcp' or 'udp' with a ``(host, port)`` as ``address``, 'unix' or 'unixgram'
    with a path (beginning with a NUL if it is an abstract name), 'fd' with a descriptor, or
    'systemd' with the name of a socket that it passes, '' for the first.
    """

    text: str
    transport: str
    address: Any

    def __str__(self) -> str:
        return self.text


def parse_endpoint(text: str) -> Endpoint:
    """The Endpoint that ``text`` names; EndpointError if it names none."""
    for prefix, parse in _PARSERS.items():
        if text.startswith(prefix):
            return Endpoint(text, prefix.rstrip(":/"), parse(text, text.removeprefix(prefix)))
    raise EndpointError(f"{text!r} is no endpoint: write {FORMS}")


def _host_and_port(text: str, rest: str) -> tuple[str, int]:
    scheme = text.removesuffix(rest)
    host, _, port = rest.rpartition(":")
    if "]" in port or not rest.count(":"):
        raise EndpointError(
            f"{text!r} has no port: write {scheme}{rest}:PORT, where port 0 lets the system choose"
        )
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise EndpointError(
            f"{text!r} has an IPv6 address without brackets: "
            f"write {scheme}[{host.strip('[]')}]:{port}"
        )
    if not _is_number(port) or int(port) > 65535:
        raise EndpointError(f"{text!r} has no valid port: {port!r} is no number from 0 to 65535")
    return host, int(port)


def _path(text: str, rest: str) -> str:
    path = rest.removeprefix("//")
    if path in ("", "@"):
        scheme = text.partition(":")[0]
        raise EndpointError(
            f"{text!r} has no path: write {scheme}:PATH, or {scheme}:@NAME for an abstract name"
        )
    return "\0" + path[1:] if path.startswith("@") else path


def _descriptor(text: str, rest: str) -> int:
    if not _is_number(rest):
        raise EndpointError(
            f"{text!r} has no descriptor: write fd://N with the number of an open socket, "
            "as in fd://3"
        )
    return int(rest)


def _is_number(text: str) -> bool:
    # Python refuses to read thousands of digits.
    return text.isascii() and text.isdigit() and len(text) <= 20


_PARSERS: dict[str, Callable[[str, str], object]] = {
    "tcp://": _host_and_port,
    "udp://": _host_and_port,
    "unix:": _path,
    "unixgram:": _path,
    "fd://": _descriptor,
    "systemd:": lambda text, rest: rest,
}
