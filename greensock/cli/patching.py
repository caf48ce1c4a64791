"""Monkey patching, with one search for gevent's plugins where gevent makes two dozen."""

from importlib import metadata
from typing import Any

from gevent import monkey


def patch_all() -> None:
    """Patch as ``gevent.monkey.patch_all()`` does; plugins are told of each step as ever.

    For each of its steps gevent looks through all the packages there are, which takes longer than
    to patch. Nobody installs any meanwhile.
    """
    look = metadata.entry_points
    found = look()

    def look_at_found(**params: Any) -> Any:
        return found.select(**params) if params else found

    metadata.entry_points = look_at_found
    try:
        monkey.patch_all()
    finally:
        metadata.entry_points = look
