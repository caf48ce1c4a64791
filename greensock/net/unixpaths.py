"""The path in the file system that a socket is bound to: who may connect there, and its end.

A path with a mode or an owner of its own begins with no rights at all and gets them last, because
datagrams could arrive as soon as it is there, and somebody else's in between.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import native
from .owners import SAME, owner_ids


class UnixPath:
    """A path in the file system that a socket of this process is bound to."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._identity = self._identify()
        self._process = os.getpid()

    @classmethod
    def bind(
        cls, sock: Any, path: Any, mode: int | None = None, owner: str | int | None = None
    ) -> "UnixPath | None":
        """Bind ``sock`` to ``path``, replacing a socket there that nobody answers on.

        ``mode`` and ``owner``: see IBinding. None for an abstract address, which leaves nothing
        behind. OSError (EADDRINUSE) if the path is in use, or is no socket, and PermissionError if
        its owner cannot be set; ValueError if there is no such owner, or no path. Whatever is
        raised, nothing is left behind.
        """
        if mode is None and owner is None:
            _bind(sock, path)
            return cls._of(sock)
        if os.fsencode(path)[:1] in (b"", b"\0"):
            raise ValueError(
                f"{path!r} is an abstract name, and whoever knows it may connect: leave unix_mode "
                "and unix_owner at None, or give a path"
            )
        user, group = owner_ids(owner)
        if mode is None:
            mode = 0o777 & ~_umask()
        with _without_rights(sock):
            _bind(sock, path)
        bound = cls._of(sock)
        assert bound is not None
        try:
            bound._give(user, group, mode)
        except BaseException:
            bound.remove()
            raise
        return bound

    @classmethod
    def _of(cls, sock: Any) -> "UnixPath | None":
        bound = sock.getsockname()
        return cls(os.path.abspath(bound)) if isinstance(bound, str) and bound else None

    def _give(self, user: int, group: int, mode: int) -> None:
        with self._held() as path:
            if (user, group) != (SAME, SAME):
                try:
                    os.chown(path, user, group)
                except PermissionError as error:
                    raise PermissionError(
                        error.errno,
                        "only root may give a socket to another user, or to a group it is not in",
                    ) from None
            os.chmod(path, mode)

    @contextmanager
    def _held(self) -> Iterator[str]:
        # Whoever may write in the directory could put something else there, such as a link.
        if not hasattr(os, "O_PATH") or not os.path.isdir("/proc/self/fd"):
            yield self._path
            return
        handle = os.open(self._path, os.O_PATH | os.O_NOFOLLOW)
        try:
            identity = _identity(os.fstat(handle))
            if identity is None or identity != self._identity:
                raise OSError(errno.EADDRINUSE, "somebody has put something else there")
            yield f"/proc/self/fd/{handle}"
        finally:
            native.close(handle)

    def remove(self) -> None:
        """Remove the path, if it is still what this very process bound."""
        if os.getpid() == self._process and self._identity is not None:
            if self._identity == self._identify():
                os.unlink(self._path)

    def _identify(self) -> tuple[int, int] | None:
        try:
            return _identity(os.lstat(self._path))
        except OSError:
            return None


def _identity(status: os.stat_result) -> tuple[int, int] | None:
    return (status.st_dev, status.st_ino) if stat.S_ISSOCK(status.st_mode) else None


def _umask() -> int:
    # It cannot be read without being set. Meanwhile files are made with fewer rights, not more.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextmanager
def _without_rights(sock: Any) -> Iterator[None]:
    """Whatever path ``sock`` is bound to meanwhile is nobody's to connect to."""
    try:
        os.fchmod(sock.fileno(), 0)  # Linux gives the path what the socket has
    except OSError:
        pass
    else:
        yield
        return
    mask = os.umask(0o777)
    try:
        yield
    finally:
        os.umask(mask)


def _bind(sock: Any, path: Any) -> None:
    try:
        sock.bind(path)
    except OSError:
        if not _is_stale(sock, path):
            raise
        os.unlink(path)
        sock.bind(path)


def _is_stale(sock: Any, path: Any) -> bool:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
    except OSError:
        return False
    probe = native.Socket(sock.family, sock.type)
    with probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
