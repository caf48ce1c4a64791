"""Locks that a module has for as long as the program runs, whatever is forked meanwhile.

A child has only the thread that forked it. What another one held at that moment nobody would ever
give back there.
"""

import os
from typing import Any

from . import native


def make_guard() -> Any:
    """A re-entrant lock; in a forked child it is free, unless it is the forking thread's own."""
    guard = native.make_rlock()

    def renew():
        if not guard._is_owned():
            guard._at_fork_reinit()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
    return guard
