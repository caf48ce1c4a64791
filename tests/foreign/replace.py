"""The hook: another module answers to the name ``socketserver``.

It must act before anything imports http.server and its like, and in the subprocesses a test starts,
so it may run from a ``.pth`` file; hence it imports next to nothing itself.
"""

import os
import sys
from typing import Any

# The standard library's module, once another has its place.
original: Any = None

VARIABLE = "GREENSOCK_FOREIGN"
WORLDS = ("plain", "patched")

# Whichever of these is there already has the standard library's classes as bases, and the judges
# would judge those.
_BUILT_ON_IT = ("http.server", "xmlrpc.server", "wsgiref.simple_server", "logging.config", "pydoc")


def environment(module: str, world: str) -> dict[str, str]:
    """Return what to add to a process's environment for `install_from_environment` to act on."""
    return {VARIABLE: f"{module} {world}"}


def wanted() -> tuple[str, str]:
    """Return (module, world) as the environment has them."""
    module, world = os.environ[VARIABLE].split()
    return module, world


def install(module: str, world: str) -> None:
    """Patch first if the world is the patched one, then put the module in place."""
    if world == "patched":
        from gevent import monkey

        monkey.patch_all()
    if module == "socketserver":
        return
    global original
    original = __import__("socketserver")
    replacement = __import__(module)
    early = [name for name in _BUILT_ON_IT if name in sys.modules]
    if early:
        raise ImportError(f"imported before socketserver could be replaced: {', '.join(early)}")
    sys.modules["socketserver"] = replacement


def install_from_environment() -> None:
    """Install, or end the process: site ignores a ``.pth`` line that raises."""
    try:
        install(*wanted())
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)
