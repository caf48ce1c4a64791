"""Tracebacks without the command line's own part."""

import importlib
import os
from types import TracebackType

_OURS = os.path.join(os.path.dirname(__file__), "")


def frames_beyond(error: BaseException) -> TracebackType | None:
    """The traceback from the first frame that is neither greensock's command line nor an import."""
    frames = error.__traceback__
    while frames is not None and _leads_there(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return frames


def _leads_there(filename: str) -> bool:
    return filename == importlib.__file__ or filename.startswith((_OURS, "<frozen importlib"))
