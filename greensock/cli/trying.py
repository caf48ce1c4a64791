"""Trying something out in a process that is thrown away, so that this one stays as it is."""

import os
from collections.abc import Callable

from ..errors import CommandError
from ..net import native
from ..net.children import Child, told_status

# Bytes of an error, at most: what a pipe holds although nobody reads it yet.
_LONGEST = 4096


def try_out(action: Callable[[], object], what: str) -> None:
    """Do it in a child; CommandError, one line, if it raises that there, or ends the child.

    ``what``: how to call it in that case.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    child = Child()

    def live() -> int:
        try:
            action()
        except CommandError as error:
            os.write(writer, str(error).encode(errors="surrogateescape")[:_LONGEST])
        return 0

    try:
        try:
            child.fork(live)
        finally:
            native.close(writer)
        child.wait()
        status = child.reap()
        try:
            # Not until its end: what it left running may have the pipe, too.
            text = os.read(reader, _LONGEST).decode(errors="surrogateescape")
        except BlockingIOError:
            text = ""
    finally:
        native.close(reader)
    if text:
        raise CommandError(text)
    if status:
        raise CommandError(f"{what} ended its process, {told_status(status)}")
