"""How a client deals with the server: it asks for so many bytes, and knows which."""

import random
import struct

import gevent.socket
from gevent import ssl

# Seconds for what takes milliseconds, with a flood before it in the queue.
PATIENCE = 20

# Bytes; more than a socket takes at once from a peer that does not read.
PIECE = 1 << 18

# Lets the port be chosen as late as the peer is known, so that 28,000 of them are for each pair.
IP_BIND_ADDRESS_NO_PORT = 24
RESET = struct.pack("ii", 1, 0)


class TurnedAway(Exception):
    """The server would not have another connection, which it may."""


class Wrong(Exception):
    """The server has done what it must not do."""


def pieces_of_answer(line):
    """The answer to ``SIZE WORD\\n``: the word over and over, SIZE bytes long. For both sides."""
    size, word = line.split()
    left = int(size)
    piece = word * (PIECE // len(word))
    while left > 0:
        yield piece[:left]
        left -= len(piece)


def question(size):
    return b"%d %s\n" % (size, b"%x" % random.getrandbits(64))


def connect(address, host):
    """A connected socket, from an address of its kind's own."""
    sock = gevent.socket.socket()
    try:
        sock.setsockopt(gevent.socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        sock.settimeout(PATIENCE)
        sock.bind((host, 0))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE


def secured(sock):
    """The socket under TLS. TurnedAway if the server has closed it instead."""
    try:
        return CONTEXT.wrap_socket(sock)
    except TimeoutError:
        raise Wrong("no handshake in time") from None
    except OSError:
        raise TurnedAway from None


def reset(sock):
    """Close it, and have the peer's system told that nothing more is wanted."""
    sock.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_LINGER, RESET)
    sock.close()


def read_answer(sock, asked, *, is_first, at_once=65536, pause=lambda: None):
    """Read and check it. A connection may end or be refused before its first answer begins."""
    expected = b"".join(pieces_of_answer(asked))
    got = 0
    while got < len(expected):
        try:
            part = sock.recv(at_once)
        except TimeoutError:
            raise Wrong(f"{got} of {len(expected)} bytes in time") from None
        except OSError as error:
            part, ending = b"", repr(error)
        else:
            ending = "an end"
        if is_first and not got and part in (b"", b"busy\n"):
            raise TurnedAway
        if not part:
            raise Wrong(f"{ending} after {got} of {len(expected)} bytes")
        if part != expected[got:got + len(part)]:
            raise Wrong(f"{part[:40]!r} is no part of the answer")
        got += len(part)
        pause()


def until_the_end(sock):
    """Wait for the server to end it."""
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        raise Wrong("the server let it be for ever") from None
    except OSError:
        pass
