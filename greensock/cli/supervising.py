"""``greensock serve --workers``: a supervisor, and what is told of it.

Rule: the supervisor does not import the handler, unless it is asked to. Every worker does, so that
one that replaces another has the code of its time.
"""

import errno
import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from ..errors import CommandError
from ..interfaces import IDrainStarted, IUpgradeEnded, IWorkerStarted
from ..mixins.prefork import PreforkMixIn
from ..net.addresses import parse_address
from ..net.systemd import notify, notify_reloading, watchdog_seconds
from ..observers import observe
from .endpoints import Endpoint
from .loading import load_handler
from .locating import Location, locate
from .opening import check_kind, open_server, place_of
from .output import finish, flush, say
from .preforking import check_workers_can
from .suiting import check_settings_suit
from .telemetry import begin_access_log, begin_log, told_of_status
from .trying import try_out


class Supervised(PreforkMixIn):
    """A prefork server as the command wants it."""

    _gs_load: Callable[[], Callable[..., object]] | None = None
    _gs_news: "News | None" = None

    def worker_started(self, index: int) -> None:
        """Import the handler, if that is left to the worker."""
        if self._gs_load is not None:
            self.RequestHandlerClass = self._gs_load()
        super().worker_started(index)

    def _gs_look_in(self, supervisor: Any) -> float | None:
        return None if self._gs_news is None else self._gs_news.look_in(supervisor)


def prepare(
    options: Namespace, endpoints: Sequence[Endpoint], settings: Mapping[str, Any]
) -> Callable[[], int]:
    """Open what is asked for; return the function that serves it and returns the exit status."""
    check_workers_can(options, endpoints)
    begin_log(options)
    locations = locate(endpoints)
    check_settings_suit(settings, options.model, locations)
    (location,) = locations
    load = _loader(options.handler, location)
    handler: Callable[..., object] = _not_loaded
    if options.preload:
        handler = load()
    else:
        try_out(load, f"importing {options.handler!r}")
    settings = {**settings, "worker_model": options.model, "ready_lag": options.lag}
    server: Any = open_server(location, handler, "prefork", settings, (Supervised,))
    try:
        if not options.preload:
            server._gs_load = load
        _open_control(server)
        _open_status(server, options.status)
        if options.access_log is not None:
            begin_access_log(options)
    except BaseException:
        server.server_close()
        raise

    def announce(workers: int) -> None:
        place = place_of(server)
        if location.is_adopted:
            place += f" ({location.endpoint})"
        several = f"{workers} workers" if workers > 1 else "1 worker"
        what = f"serving {options.handler} on {place}"
        say(f"greensock: {what}, {several}, model {options.model}")
        if server.status_url is not None:
            say(f"greensock: status at {server.status_url}")
        flush()
        notify("READY=1", f"STATUS={what}")

    def serve() -> int:
        news = server._gs_news = News(announce)
        unobserve = observe(
            {
                IWorkerStarted: news.note_ready,
                IDrainStarted: news.note_ending,
                IUpgradeEnded: news.note_succeeded,
            }
        )
        try:
            server.serve_forever()
        except OSError as error:
            reason = error.strerror or error
            print(f"greensock: cannot have {options.workers} workers: {reason}", file=sys.stderr)
            return 1
        finally:
            news.note_ending()
            server.server_close()
            unobserve()
        finish()
        return 0

    return serve


class News:
    """What systemd hears of a supervisor, and ``announce(workers)`` when it has a first worker."""

    def __init__(self, announce: Callable[[int], None]) -> None:
        self._announce = announce
        self._process = os.getpid()
        self._is_ready = self._is_ending = self._was_replacing = False
        self._watchdog = watchdog_seconds()
        self._due = monotonic()

    def note_ready(self, event: Any) -> None:
        """A worker is ready."""
        if not self._is_ready:
            self._is_ready = True
            self._announce(event.server._gs_team.wanted)

    def note_ending(self, event: Any = None) -> None:
        """It is about to end. Workers tell so, too, and that is no news."""
        if not self._is_ending and os.getpid() == self._process:
            self._is_ending = True
            notify("STOPPING=1", "STATUS=waiting for the handlers at work")

    def note_succeeded(self, event: Any) -> None:
        """Another process goes on with the service."""
        self._is_ending = True

    def look_in(self, supervisor: Any) -> float | None:
        """Tell what is new; seconds until there may be more."""
        if supervisor.is_replacing != self._was_replacing:
            self._was_replacing = supervisor.is_replacing
            if self._was_replacing:
                notify_reloading()
            else:
                notify("READY=1")
        if self._watchdog is None:
            return None
        if monotonic() >= self._due:
            self._due = monotonic() + self._watchdog / 2
            notify("WATCHDOG=1", timeout=0)
        return max(0.0, self._due - monotonic())


def _loader(text: str, location: Location) -> Callable[[], Callable[..., object]]:
    def load() -> Callable[..., object]:
        importlib.invalidate_caches()  # files may have come since the supervisor began
        handler = load_handler(text)
        check_kind(handler, location.transport, location.endpoint)
        return handler

    return load


def _not_loaded(request: Any, client_address: Any, server: Any) -> None:
    """Stands for the handler in the supervisor, which handles nothing."""


def _open_control(server: Any) -> None:
    try:
        server._gs_open_control()
    except OSError as error:
        remedy = "give a path in a directory of yours"
        if error.errno == errno.EADDRINUSE:
            remedy = "another command serves there, or it is no socket; give another path"
        raise CommandError(
            f"cannot open --control {server.control_path!r}: {error.strerror or error}; {remedy}"
        ) from None


def _open_status(server: Any, text: str | None) -> None:
    if text is None:
        return
    with told_of_status(text):
        parse_address(text)
        server.status_address = text
        server._gs_open_site()
