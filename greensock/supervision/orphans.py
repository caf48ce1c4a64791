"""Processes that fall to a supervisor which is process 1, as in a container without an init.

Rule: only those are reaped that nobody in the supervisor's process has started.

Theory of operation. No process tells whose child it was born. So the supervisor lowers a limit that
nobody comes near, and each worker raises it again: children have what their parent had, through
fork and exec, and it can be read as long as they are not reaped. Who has ended and has no such mark
is an orphan, unless it is a worker, or was there before the mark.
"""

import os
import re
import resource
from contextlib import suppress

from ..net import native
from ..net.children import unreaped

# Seconds between two looks.
PAUSE = 0.5

# Bytes for POSIX message queues, 800 KiB as a rule: nobody will miss one.
_LIMIT = getattr(resource, "RLIMIT_MSGQUEUE", -1)
_SHOWN = re.compile(r"^Max msgqueue size +(\S+)", re.MULTILINE)
_NO_LIMIT = 1 << 40

_before: tuple[int, int] | None = None
_marked = 0
_known: set[int] = set()


def is_init() -> bool:
    """Whether this process is process 1, and can see what falls to it."""
    try:
        return os.getpid() == 1 and os.readlink("/proc/self") == "1"
    except OSError:
        return False


def mark() -> None:
    """Have what this process starts from now on know from what falls to it; in process 1 only."""
    global _before, _marked
    if _before is None and _LIMIT >= 0 and is_init():
        soft, hard = before = resource.getrlimit(_LIMIT)
        _marked = _NO_LIMIT if soft == resource.RLIM_INFINITY else max(0, soft - 1)
        resource.setrlimit(_LIMIT, (_marked, hard))
        _known.update(_children())
        _before = before


def unmark() -> None:
    """In a child process: whatever it starts is none of process 1."""
    global _before
    if _before is not None:
        resource.setrlimit(_LIMIT, _before)
        _before = None


def reap() -> float | None:
    """Reap those that have ended; seconds after which to look again, None for never."""
    if _before is None:
        return None
    children = _children()
    _known.intersection_update(children)
    for pid in children - _known - unreaped:
        if _is_orphan(pid):
            with suppress(ChildProcessError):
                native.waitpid(pid, os.WNOHANG)
    return PAUSE


def _children():
    found: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        # It may have ended.
        with suppress(OSError), open(f"/proc/self/task/{thread}/children") as listing:
            found.update(map(int, listing.read().split()))
    return found


def _is_orphan(pid):
    folder = f"/proc/{pid}"
    try:
        with open(f"{folder}/stat") as stat, open(f"{folder}/limits") as limits:
            has_ended = stat.read().rpartition(")")[2].split()[0] == "Z"
            shown = _SHOWN.search(limits.read())
    except OSError:
        return False
    return has_ended and shown is not None and shown[1] != str(_marked)
