"""Tests of other projects, from their sdists on PyPI, in a virtual environment made for them.

The hook is a ``.pth`` file there: the servers those tests start in subprocesses have it too.
"""

import contextlib
import fcntl
import importlib.metadata
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.foreign import replace

# Pinned: a judge that changes by itself is none. Both run on Python 3.10 and later.
SUITES = {
    "werkzeug": ("werkzeug-3.1.9", "tests/test_serving.py"),
    "acme": ("acme-5.9.0", "src/acme/_internal/tests/standalone_test.py"),
}
# With watchdog 7 werkzeug's reloader does not see changes.
_THEY_NEED = [
    "pytest==9.2.0",
    "cryptography==50.0.2",
    "ephemeral-port-reserve==1.1.4",
    "watchdog==6.0.0",
]
_WE_NEED = ["gevent", "greenlet", "zope.interface", "zope.event"]

_HOOK = "from tests.foreign import replace; replace.install_from_environment()"

CHECKOUT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "greensock", "foreign")

_PTH = f"""{CHECKOUT}
import os; exec({_HOOK!r}) if "{replace.VARIABLE}" in os.environ else None
"""


class Unavailable(Exception):
    """The tests cannot be had here; the text says why."""


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one thread of one process prepare the folder, and the others find it ready."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path) -> None:
    pipe = subprocess.PIPE
    done = subprocess.run(command, check=False, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if line.startswith(("ERROR", "error"))]
        why = "\n".join(errors) or done.stdout[-2000:]
        raise Unavailable(f"cannot make ready for them; is PyPI within reach?\n{why}")


def _environment(cache: Path) -> Path:
    """Return where the environment of this interpreter and checkout is, or is to be."""
    owner = zlib.crc32(f"{sys.prefix} {sys.version} {CHECKOUT}".encode())
    return cache / f"{sys.implementation.cache_tag}-{owner:08x}"


def prepare(cache: Path, offline: bool) -> Path:
    """Return the Python of an environment that has all the tests need; make it if need be.

    Args:
        cache: the folder for sdists and environments.
        offline: whether only what the cache holds may be used.

    Raises:
        Unavailable: it could not be made; what was begun is taken up again the next time.
    """
    folder = _environment(cache)
    python = folder / "bin" / "python"
    ours = [f"{name}=={importlib.metadata.version(name)}" for name in _WE_NEED]
    theirs = [name.replace("-", "==") for name, _ in SUITES.values()]
    wanted = "\n".join(ours + theirs + _THEY_NEED)
    ready = folder / "ready"
    with _locked(cache):
        if not (ready.exists() and ready.read_text() == wanted):
            if offline:
                raise Unavailable("--offline, and no environment is ready in the cache")
            _run(sys.executable, "-m", "venv", "--clear", folder)
            pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet")
            only_source = ",".join(SUITES)
            _run(*pip, "download", "-d", cache, "--no-deps", "--no-binary", only_source, *theirs)
            archives = [cache / f"{name}.tar.gz" for name, _ in SUITES.values()]
            for archive in archives:
                shutil.unpack_archive(archive, cache)
            _run(*pip, "install", *ours, *_THEY_NEED, *archives)
            [packages] = folder.glob("lib/python*/site-packages")
            (packages / "greensock-foreign.pth").write_text(_PTH)
            ready.write_text(wanted)
    return python


def command(python: Path, cache: Path, suite: str, match: str) -> list[str | Path]:
    """Return the command that runs the suite; its working directory does not matter."""
    name, file = SUITES[suite]
    root = cache / name
    keyword = ["-k", match] if match else []
    # The cache provider would write into the sources, which two runs share.
    options = ["-p", "tests.foreign.plugin", "-p", "no:cacheprovider", "-q", "--rootdir", root]
    return [python, "-m", "pytest", *options, *keyword, root / file]
