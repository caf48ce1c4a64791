"""Servers for what the command line asks for, from their opening to their end."""

import logging
import signal
from contextlib import ExitStack, contextmanager, suppress

import gevent

from greensock import server_class
from greensock.status import serve_status

from .checks import Checks
from .forward import Forward
from .http_handler import Http
from .options import UsageError
from .outcomes import Outcomes
from .rules import Rules
from .socks_handler import Socks
from .upstreams import Upstreams

logger = logging.getLogger("proxy")

_SETTINGS = (
    *("max_connections", "max_connections_per_peer", "accept_rate"),
    *("send_timeout", "request_timeout", "drain_timeout"),
)


class Site:
    """One place that is listened at, and what its handlers need.

    ``own``: a list, to which where it listens is added, and which its rules look into. OSError if
    it cannot listen there.
    """

    def __init__(self, options, kind, address, targets, own):
        self._options = options
        self._targets = targets
        self.upstreams = self.checks = None
        self.handler = type(kind.__name__, (kind,), self._facts(own))
        model = "prefork" if options.workers else options.model
        server = type("Server", (server_class(model),), self._settings())
        self.server = server(address, self.handler)
        own.append(self.server.server_address)
        self.name = _text(self.server.server_address)

    def _facts(self, own):
        options = self._options
        facts = {
            "rules": Rules(options.rules, own),
            "clients": options.clients,
            "users": options.users,
            **{name: getattr(options, name) for name in ("patience", "connect_timeout", "silence")},
        }
        if self._targets:
            facts["send_proxy"] = self._version
        return facts

    @property
    def _version(self):
        return self._options.send_proxy and int(self._options.send_proxy[1:])

    def _settings(self):
        options = self._options
        settings = {name: getattr(options, name) for name in _SETTINGS}
        settings |= {"allow_reuse_address": True, "handshake_timeout": options.patience}
        if options.proxy_protocol_in:
            settings["proxy_protocol"] = "required"
            settings["trusted_proxies"] = options.proxy_protocol_in
        if options.workers:
            settings |= {"workers": options.workers, "worker_model": options.model}
            settings |= {"share": "balance"}  # because connections through a proxy may be long
            settings["worker_started"] = lambda server, index: self.begin()
        return settings

    def begin(self):
        """Make what handlers share, in the process that they run in."""
        toolbox, options = self.server.toolbox, self._options
        self.handler.outcomes = Outcomes(toolbox.Lock())
        if self._targets:
            self.upstreams = self.handler.upstreams = Upstreams(
                self._targets, toolbox.Lock(), options.eject_after, self._tell
            )
            if options.check is not None:
                self.checks = self.handler.checks = Checks(
                    self.upstreams, toolbox, options.check, options.connect_timeout,
                    options.check_http, self._version,
                )
                self.checks.start()

    def _tell(self, upstream, state):
        logger.warning("upstream %s of %s is %s", upstream.name, self.name, state)

    def end(self):
        """Check nothing more."""
        if self.checks is not None:
            self.checks.end()


@contextmanager
def _told_of(address):
    """Meanwhile, errors are of what is to listen at ``address``: UsageError."""
    try:
        yield
    except (OSError, ImportError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen at {_text(address)}: {reason}") from None


def _text(address):
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Service:
    """All that a command serves. UsageError if it cannot be had; then nothing is left open."""

    def __init__(self, options):
        self._options = options
        self._at_the_end = ExitStack()
        self._sites, own = [], []
        self._status = None
        places = [(Forward, address, targets) for address, targets in options.forward]
        places += [(Socks, address, None) for address in options.socks]
        places += [(Http, address, None) for address in options.http]
        with self._at_the_end as at_the_end:
            for kind, address, targets in places:
                with _told_of(address):
                    site = Site(options, kind, address, targets, own)
                at_the_end.callback(site.server.server_close)
                at_the_end.callback(site.end)
                self._sites.append(site)
            if options.workers is None:
                self._open(own)
            elif options.status is not None:
                self._sites[0].server.status_address = _text(options.status)
                if options.status[0] != "localhost":  # which nobody reaches anyway
                    own.append(options.status)
            self._at_the_end = at_the_end.pop_all()

    def _open(self, own):
        for site in self._sites:
            site.begin()
        if self._options.status is None:
            return
        with _told_of(self._options.status):
            self._status = serve_status(
                self._options.status, [site.server for site in self._sites]
            )
        own.append(self._status.server_address)
        self._at_the_end.enter_context(self._status)
        with suppress(ImportError):  # /metrics says which package it wants
            from .metrics import expose

            self._at_the_end.callback(expose(self._sites))

    def run(self):
        """Serve until a signal comes; the exit status."""
        with self._at_the_end:
            if self._options.workers is None:
                return self._serve_all()
            self._announce()
            self._sites[0].server.serve_forever()
            return 0

    def _announce(self):
        for site in self._sites:
            place = f"proxy: {site.handler.mode} on {site.name}"
            if self._options.workers is not None:
                place += f", {self._options.workers} workers"
            print(f"{place}, model {self._options.model}", flush=True)
        if self._status is not None:
            print(f"proxy: status at {self._status.url}", flush=True)

    def _serve_all(self):
        tasks = [gevent.spawn(site.server.serve_forever) for site in self._sites]
        gevent.sleep(0)  # until they have begun, for what was drained before cannot be served
        for number in signal.SIGINT, signal.SIGTERM:
            signal.signal(number, self._stop)
        self._announce()
        gevent.joinall(tasks, count=1)  # none ends before a signal, unless it fails
        self._drain()
        gevent.joinall(tasks)
        return int(any(task.exception is not None for task in tasks))

    def _stop(self, number, frame):
        signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
        self._drain()

    def _drain(self):
        for site in self._sites:
            site.server.drain()
