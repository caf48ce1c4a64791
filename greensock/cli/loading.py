"""From the text ``MODULE:HANDLER`` to the handler."""

import importlib
import os
import reprlib
import socketserver
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from gevent.hub import getcurrent

from ..errors import CommandError
from ..events import subscribe, unsubscribe
from ..factories import as_factory, check_callable
from ..interfaces import IServerStarted
from .frames import foreign_frames

_HANDLERS = (
    "name a handler class, such as a StreamRequestHandler, or a function of "
    "(request, client_address, server) or of (socket, address)"
)


def load_handler(text: str) -> Callable[..., object]:
    """The handler that ``text`` names; CommandError if there is none.

    The module is looked for in the current directory first. The handler may be an attribute of
    an attribute: ``MODULE:CLASS.HANDLER``.
    """
    name, _, path = text.partition(":")
    if not name or not path:
        raise CommandError(
            f"{text!r} names no handler: write MODULE:HANDLER, as in chat:Member for what "
            "chat.py calls Member"
        )
    handler = _attribute(_module(name), path, name)
    _check(handler, text)
    return handler


def _module(name: str) -> ModuleType:
    if name.startswith(".") or os.path.isfile(name):
        raise CommandError(
            f"{name!r} is no module name: write chat for chat.py and rooms.chat for rooms/chat.py"
        )
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    with _only_defining(name), importing(name):
        return importlib.import_module(name)


@contextmanager
def _only_defining(name: str) -> Iterator[None]:
    """CommandError if a server is served meanwhile, which would go on for ever; it is ended."""
    here, served = getcurrent(), []

    def end(event: Any) -> None:
        if getcurrent() is here:
            served.append(event.server)
            event.server.shutdown()

    subscribe(IServerStarted, end)
    try:
        yield
    finally:
        unsubscribe(IServerStarted, end)
        if served:
            raise CommandError(
                f"importing {name!r} called serve_forever(): put that under "
                "'if __name__ == \"__main__\":' there, so that the handler can be had alone"
            )


@contextmanager
def importing(name: str) -> Iterator[None]:
    """Make a CommandError of what goes wrong when the module ``name`` is imported.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise CommandError(
                f"there is no module {error.name!r}, neither in {os.getcwd()} nor where this "
                f"python looks ({sys.executable})"
            ) from None
        summary = traceback.format_exception_only(type(error), error)[-1].strip()
        raise CommandError(
            f"importing {name!r} ended{_where(error)} with {' '.join(summary.split())}; "
            f"for the traceback: {sys.executable} -c 'import {name}'"
        ) from None


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f" in {error.filename}, line {error.lineno},"
    frames = traceback.extract_tb(foreign_frames(error))
    if not frames:
        return ""
    # Where the project itself has come to, not some line of a library it called.
    project = os.path.join(os.path.dirname(frames[0].filename), "")
    frame = next(frame for frame in reversed(frames) if frame.filename.startswith(project))
    return f" in {frame.filename}, line {frame.lineno},"


def _attribute(found: Any, path: str, shown: str) -> Any:
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise CommandError(f"{shown!r} has no {name!r}{_instead(found)}") from None
        shown = f"{shown}.{name}"
    return found


def _instead(found: Any) -> str:
    module = getattr(found, "__name__", None)
    names = [
        name
        for name, value in getattr(found, "__dict__", {}).items()
        if callable(value) and getattr(value, "__module__", None) == module
    ]
    return f"; it defines {', '.join(names)}" if names else ""


def _check(handler: Any, text: str) -> None:
    kind = handler if isinstance(handler, type) else type(handler)
    if issubclass(kind, socketserver.BaseServer):
        raise CommandError(
            f"{text} is a server, and --bind and --model make one that suits them: {_HANDLERS}"
        )
    try:
        as_factory(handler)
        check_callable(handler)
    except TypeError:
        raise CommandError(
            f"{text} handles no requests, it is {_shown(handler)}: {_HANDLERS}"
        ) from None


def _shown(found: Any) -> str:
    # What a repr says may fill pages, and tell what is nobody's business, as that of os.environ.
    shortly = reprlib.Repr()
    shortly.maxother = 60
    return " ".join(shortly.repr(found).split())
