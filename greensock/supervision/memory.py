"""How much memory a process has in use."""

import os
import resource


def resident(pid: int | None = None) -> int | None:
    """Bytes, of this process or of another one; None if nobody knows."""
    try:
        with open(f"/proc/{pid or os.getpid()}/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:  # elsewhere, only the most that this process ever had is known
        return None if pid else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
