"""HTTP as a proxy passes it on: what of a message is for the next one, and what is not. No I/O.

Rule: nothing is passed on as it came. h11 takes a message apart, and makes another of what is in
it: its length is written anew, as a number or in chunks, and a request that could mean something
else to somebody else is refused, so that nobody can hide one in another.
"""

import base64
import binascii
import re
from dataclasses import dataclass

import h11

VIA = b"1.1 greensock"

# Of one connection, and not of a message: RFC 9110, 7.6.1, and what was written before it.
_OF_A_CONNECTION = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}

_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._~-]+))(?::([0-9]{0,5}))?")


class HTTPError(Exception):
    """A request that is not passed on. ``status``: what the client is told, with ``reason``."""

    def __init__(self, status, reason):
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Target:
    """Whom a request is for. ``path``: what to ask for there (bytes); None for CONNECT."""

    host: str
    port: int
    path: bytes | None = None

    def __str__(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def target_of(request):
    """The Target of an h11 Request; HTTPError if it has none, or cannot be passed on."""
    names = [name for name, _ in request.headers]
    has_length, is_chunked = b"content-length" in names, b"transfer-encoding" in names
    if is_chunked and (has_length or request.http_version < b"1.1"):
        raise HTTPError(400, "the length of this request can be understood in two ways")
    if request.method == b"CONNECT":
        if has_length or is_chunked:
            raise HTTPError(400, "CONNECT has no body")
        host, port = _host_and_port(request.target, None)
        return Target(host, port)
    found = re.fullmatch(rb"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)", request.target)
    if found is None:
        raise HTTPError(400, "this is a proxy: ask it for http://HOST/PATH, or CONNECT HOST:PORT")
    if found[1].lower() != b"http":
        raise HTTPError(501, "only http:// is passed on; for others there is CONNECT")
    host, port = _host_and_port(found[2], 80)
    path = found[3]
    if not path.startswith(b"/"):
        path = b"*" if request.method == b"OPTIONS" and not path else b"/" + path
    return Target(host, port, path)


def _host_and_port(authority, default):
    found = _AUTHORITY.fullmatch(authority)
    port = int(found[3]) if found and found[3] else default
    if found is None or port is None or not 0 < port < 0x10000:
        raise HTTPError(400, "this is no HOST:PORT")
    return (found[1] or found[2]).decode("ascii"), port


def credentials_of(headers):
    """The name and the password (bytes) that Proxy-Authorization has; None without them."""
    values = [value for name, value in headers if name == b"proxy-authorization"]
    if len(values) != 1:
        return None
    scheme, _, encoded = values[0].partition(b" ")
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (name, password) if scheme.lower() == b"basic" and colon else None


def has_body(request):
    """Whether more than a head belongs to an h11 Request."""
    headers = dict(request.headers)
    return b"transfer-encoding" in headers or int(headers.get(b"content-length", 0)) > 0


def is_repeatable(request):
    """Whether a server may well be asked twice."""
    return request.method in (b"GET", b"HEAD", b"OPTIONS") and not has_body(request)


def _wants_websocket(request):
    """Whether it asks to go on as a WebSocket. Nothing else that it may ask for is passed on."""
    asked = _values(request.headers, b"upgrade")
    is_asked = asked == [b"websocket"] and b"upgrade" in _values(request.headers, b"connection")
    return is_asked and request.http_version >= b"1.1" and not has_body(request)


def request_onward(request, target):
    """The h11 Request for the server that is to answer this one."""
    but = {b"host"} if request.http_version >= b"1.1" else {b"host", b"expect"}
    headers = [(b"Host", _authority(target)), *_of_the_message(request.headers, but)]
    if _wants_websocket(request):
        headers += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    elif b"transfer-encoding" in dict(request.headers):
        headers.append((b"Transfer-Encoding", b"chunked"))
    headers.append((b"Via", VIA))
    return h11.Request(method=request.method, target=target.path, headers=headers)


def response_back(response):
    """The h11 Response, or InformationalResponse, for the client; its length is h11's to write."""
    headers = _of_the_message(response.headers, set())
    if response.status_code == 101:
        headers += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    elif response.status_code >= 200:
        if b"transfer-encoding" in dict(response.headers):
            headers = [each for each in headers if each[0].lower() != b"content-length"]
        headers.append((b"Via", VIA))
    return type(response)(
        status_code=response.status_code, headers=headers, reason=response.reason
    )


def _of_the_message(headers, but):
    left_out = _OF_A_CONNECTION | but | set(_values(headers, b"connection"))
    left_out.discard(b"content-length")  # which is no header that a Connection could take away
    return [each for each in headers.raw_items() if each[0].lower() not in left_out]


def _values(headers, wanted):
    """What a header lists, in lower case."""
    lists = [value.lower().split(b",") for name, value in headers if name == wanted]
    return [each.strip() for values in lists for each in values]


def _authority(target):
    host = f"[{target.host}]" if ":" in target.host else target.host
    return (host if target.port == 80 else f"{host}:{target.port}").encode()
