"""A network of the run's own, where the system lets it have one."""

import ctypes
import fcntl
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def separate():
    """Have this process and those it starts leave the system's network, if it may do so.

    In theirs is a loopback and nobody else. What is sent there is not paced: bbr, where the system
    has it, does so with a timer for each packet, and on a loopback little else would be measured.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    with open("/proc/self/ns/net") as old:
        if libc.unshare(CLONE_NEWNET):
            return
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
            CONTROL.write_text("reno")
        except OSError:  # who may make one need not be allowed to set it up
            libc.setns(old.fileno(), CLONE_NEWNET)


def control():
    """The name of what controls congestion."""
    try:
        return CONTROL.read_text().strip()
    except OSError:
        return "unknown"
