"""Keeping newcomers out of a socket, while those who are in its queue already are served.

A listener cannot stop to listen and keep its queue: closing it resets those who have connected and
were not accepted yet. On Linux a packet filter on the socket does it. It drops what opens a
connection, and lets pass what completes one; who was dropped tries again a second later and is
refused, because by then the listener is closed.
"""

import os
import socket
import struct
from array import array

# asm-generic/socket.h and linux/bpf_common.h; the classic filters need no privileges.
_SO_ATTACH_FILTER = 26
_LOAD_BYTE, _AND, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06

# RFC 9293, section 3.1: the flags are in byte 13 of the TCP header.
_FLAGS, _SYN, _ACK = 13, 0x02, 0x10


# Where linux/tcp.h has tcpi_unacked in its struct tcp_info. Of a listener it is the queue's length.
_UNACKED = 24


def _instruction(code, operand, if_true=0, if_false=0):
    return struct.pack("=HBBI", code, if_true, if_false, operand)


_DROP = _instruction(_RETURN, 0)
_KEEP = _instruction(_RETURN, 0xFFFFFFFF)
_DROP_ALL = _DROP
_DROP_OPENING = (
    _instruction(_LOAD_BYTE, _FLAGS)
    + _instruction(_AND, _SYN | _ACK)
    + _instruction(_JUMP_IF_EQUAL, _SYN, if_false=1)
    + _DROP
    + _KEEP
)


def count_waiting(sock):
    """How many have connected and wait to be accepted; None if the system does not tell."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED + 4)
        return struct.unpack_from("=I", info, _UNACKED)[0]
    except (OSError, AttributeError, struct.error):
        return None


def keep_newcomers_out(sock):
    """Have nothing new come to a socket that nobody else listens with; whether that can be done.

    For Unix stream sockets it cannot: their path must be removed.
    """
    if not hasattr(os, "uname") or os.uname().sysname != "Linux":
        return False
    if sock.type == socket.SOCK_DGRAM:
        program = _DROP_ALL
    elif sock.family in (socket.AF_INET, socket.AF_INET6):
        program = _DROP_OPENING
    else:
        return False
    instructions = array("B", program)
    address, size = instructions.buffer_info()
    try:
        sock.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", size // 8, address)
        )
    except OSError:
        return False  # such as in a sandbox
    return True
