"""What the operating system offers, whatever ``gevent.monkey`` has made of the modules.

Everything here is the original, whether patching happens before or after the import.
"""

import os
import sys
from typing import Any

from gevent.monkey import get_original, is_module_patched

Socket = get_original("socket", "socket")
allocate_lock = get_original("_thread", "allocate_lock")
# Makes a lock its own OS thread may take again, as a signal handler does.
make_rlock = get_original("_thread", "RLock")
get_ident = get_original("_thread", "get_ident")
start_new_thread = get_original("_thread", "start_new_thread")
sleep = get_original("time", "sleep")
poll = get_original("select", "poll")
close = get_original("os", "close")  # gevent's may close only later
Queue = get_original("queue", "Queue")
if hasattr(os, "fork"):
    fork = get_original("os", "fork")
    waitpid = get_original("os", "waitpid")


def ssl_socket() -> Any:
    """The class ``ssl.SSLSocket``. It imports ``ssl``, which costs a process without TLS 4 MB."""
    return get_original("ssl", "SSLSocket")


def is_ssl_context(value: object) -> bool:
    """Whether it is an ``ssl.SSLContext``; gevent's is one, too."""
    # Looked up each time, because gevent warns of modules that keep it; not imported for that.
    return "ssl" in sys.modules and isinstance(value, get_original("ssl", "SSLContext"))


def is_patched() -> bool:
    """Whether sockets of this process are cooperative, so that handlers may spawn greenlets."""
    return is_module_patched("socket")
