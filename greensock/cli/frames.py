"""Tracebacks without the command line's own part."""

import importlib
import os
from types import TracebackType

_OURS = os.path.join(os.path.dirname(__file__), "")


def foreign_frames(error: BaseException) -> TracebackType | None:
    """The traceback without the frames of the command line and of the import it asked for.

    These are at its beginning and, where a signal handler has raised, at its end. The end is
    cut off for good.
    """
    first = error.__traceback__
    while first is not None and _leads_there(_file(first)):
        first = first.tb_next
    last = first
    while last is not None:
        if last.tb_next is not None and _file(last.tb_next).startswith(_OURS):
            last.tb_next = None
        last = last.tb_next
    return first


def _leads_there(filename: str) -> bool:
    return filename == importlib.__file__ or filename.startswith((_OURS, "<frozen importlib"))


def _file(frames: TracebackType) -> str:
    return frames.tb_frame.f_code.co_filename
