"""What systemd passes to a service, and what it wants to hear from it: sockets and messages.

All of it goes by variables of the environment, so whatever else starts a program may play the part;
sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3) say how. Where they are not set, nothing
happens.
"""

import os
import socket
from time import monotonic_ns
from typing import Any, NamedTuple

from . import native

# sd_listen_fds(3): the first descriptor that is passed, and what one is called without a name.
_FIRST, _NAMELESS = 3, "unknown"

# Seconds a message may take. systemd reads at once; one that does not shall not stop a server.
_PATIENCE = 1.0


class Passed(NamedTuple):
    """A socket that was passed: FileDescriptorName= of its unit, and the descriptor."""

    name: str
    fd: int


def listen_fds() -> list[Passed]:
    """The sockets that were passed to this very process, in the order of its units.

    They are the caller's from then on, and no program that is executed later has them or hears of
    them: a second call returns none. ValueError if the variables contradict themselves.
    """
    pid, count, joined = (
        os.environ.pop(name, None) for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    )
    if count is None or pid != str(os.getpid()):
        return []
    if not count.isdecimal():
        raise ValueError(f"LISTEN_FDS is {count!r}; it must be how many sockets were passed")
    fds = range(_FIRST, _FIRST + int(count))
    names = [_NAMELESS] * len(fds) if joined is None else joined.split(":") if joined else []
    if len(names) != len(fds):
        raise ValueError(
            f"LISTEN_FDS is {count!r}, and LISTEN_FDNAMES has {len(names)}: {joined!r}"
        )
    for fd in fds:
        try:
            os.set_inheritable(fd, False)
        except OSError:
            raise ValueError(f"LISTEN_FDS is {count!r}, but descriptor {fd} is not open") from None
    return [Passed(name, fd) for name, fd in zip(names, fds)]


def notify(*assignments: str, timeout: float = _PATIENCE) -> bool:
    """Send what shall be known, such as ``"READY=1"`` and ``"STATUS=..."``; whether it was sent.

    ``timeout``: seconds it may wait, without the hub.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    lines = [assignment.replace("\n", " ") for assignment in assignments]
    try:
        with native.Socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect(address)
            sock.send(os.fsencode("\n".join(lines)))
    except OSError:
        return False
    return True


def notify_reloading() -> bool:
    """Say that the service reads its files again, until ``READY=1`` is sent; whether it was."""
    # What Type=notify-reload takes to tell this message from one that was late.
    return notify("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """Within how many seconds this process must say that it lives; None if it need not."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    if not microseconds.isdecimal() or not int(microseconds):
        return None
    return int(microseconds) / 1_000_000


class Watchdog:
    """Says from a hub that the hub turns, twice in the time that systemd waits for it.

    It does nothing if systemd does not wait. Made and closed in the hub's thread; a forked child
    does not go on with it.
    """

    def __init__(self, hub: Any) -> None:
        self._process = os.getpid()
        self._timer: Any = None
        seconds = watchdog_seconds()
        if seconds is not None:
            self._timer = hub.loop.timer(seconds / 2, seconds / 2, ref=False)
            self._timer.start(self._tell)

    def _tell(self) -> None:
        if os.getpid() == self._process:
            notify("WATCHDOG=1", timeout=0)
        else:
            self._timer.stop()

    def close(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
