"""A PROXY header off a connection, and not a byte more.

Theory of operation. It is looked at where it lies, in the system's buffer, and only what belongs to
it is taken from there: what follows is for TLS or the handler, whatever they read with. What is
taken is not counted, because it is no handler's.
"""

import _socket
from socket import MSG_PEEK
from time import monotonic

from ..errors import ProxyHeaderError
from .handover import is_tls, raw
from .proxy_parser import LONGEST_BEGINNING, ProxyParser, begins_header

# Looked at in one go: version 2 over TCP, with as many TLVs as balancers usually send.
_GLANCE = 536

# Seconds between two looks at too little to tell.
_SHORTEST, _LONGEST = 0.001, 0.05


def read_header(sock):
    """Wait for the header; it, and the bytes that it was.

    ProxyHeaderError if something else comes, and OSError if the connection fails.
    """
    if is_tls(sock):
        raise ProxyHeaderError("TLS has begun before one could come", "missing")
    parser = ProxyParser()
    while True:
        data = sock.recv(_GLANCE, MSG_PEEK)
        if not data:
            raise parser.end()
        header, rest = parser.feed(data)
        if header is None:
            _take(sock, len(data))
        else:
            _take(sock, len(data) - len(rest))
            return header, parser.taken


def _take(sock, count):
    inner = raw(sock)
    while count:
        # Past what the socket counts; it is there, so there is nothing to wait for.
        count -= len(_socket.socket.recv(inner, count))


def await_beginning(sock, patience, sleep):
    """Wait until something comes; whether that begins a header. Nothing is taken.

    ``patience``: seconds after which silence, or too little to tell, is taken for no header, None
    for no limit; ``sleep(seconds)``: lets the worker wait.
    """
    ends = None if patience is None else monotonic() + patience
    own, pause = sock.gettimeout(), _SHORTEST
    try:
        while True:
            left = None if ends is None else ends - monotonic()
            if left is not None and left <= 0:
                return False
            sock.settimeout(left)
            data = sock.recv(LONGEST_BEGINNING, MSG_PEEK)
            begins = begins_header(data) if data else False
            if begins is not None:
                return begins
            # To wait for more would return at once, because of what is there.
            sleep(pause if left is None else min(pause, left))
            pause = min(2 * pause, _LONGEST)
    except TimeoutError:
        return False
    finally:
        sock.settimeout(own)
