"""The counts of a Tally for Prometheus, by way of the package ``prometheus_client``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple
from weakref import WeakSet

from .counts import Counts
from .tally import BOUNDS, Tally

try:
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "greensock.metrics needs the package prometheus_client: pip install greensock[metrics]",
        name=error.name,
    ) from error

__all__ = ["CONTENT_TYPE_LATEST", "Metrics", "Share", "expose", "render", "render_team"]


class _Counted(NamedTuple):
    name: str
    help: str
    of: str
    labels: tuple[str, ...] = ("model",)


_COUNTED = (
    _Counted("connections", "Connections that were admitted.", "opened"),
    _Counted(
        "connections_closed",
        "Connections that have ended, and why.",
        "closed",
        ("model", "reason"),
    ),
    _Counted(
        "connections_refused",
        "Connections, or datagrams, that were turned away, and why.",
        "refused",
        ("model", "reason"),
    ),
    _Counted("received_bytes", "Bytes that handlers have read from connections.", "received"),
    _Counted("sent_bytes", "Bytes that handlers have written to connections.", "sent"),
    _Counted("requests_failed", "Handlers, or hooks on the way to them, that raised.", "failed"),
    _Counted("handshakes_failed", "TLS handshakes that were not completed.", "handshakes_failed"),
    _Counted("accepts_failed", "Errors while accepting.", "accepts_failed"),
    _Counted("accept_pauses", "Times accepting could not go on, as without descriptors.", "pauses"),
    _Counted("drains", "Drains that were begun.", "drains"),
    _Counted("datagrams_truncated", "Datagrams longer than max_packet_size.", "truncated"),
    _Counted("datagrams_dropped", "Datagrams the system had no room for.", "dropped"),
)

_REQUESTS = _Counted("requests", "Connections and datagrams that were taken.", "requests")


class Metrics(Collector):
    """What prometheus_client collects: a Tally as ``greensock_...`` metrics."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        yield from _families([Share((), self._tally.counts(), self._tally.paused())])

    describe = collect  # by whose names a registry knows that it has these already


def expose(registry: CollectorRegistry = REGISTRY) -> Callable[[], None]:
    """Count from now on, and have ``registry`` collect it; return a function that undoes both.

    ValueError if it does so already. Connections, bytes and reasons are as in IConnection. Failures
    in the child processes of ForkingMixIn are counted when these have ended; what happens in
    children that handle datagrams is not.
    """
    tally = Tally()
    metrics = Metrics(tally)
    try:
        registry.register(metrics)
    except BaseException:
        tally.close()
        raise
    _exposed_in.add(registry)

    def undo() -> None:
        if registry in _exposed_in:
            _exposed_in.discard(registry)
            registry.unregister(metrics)
            tally.close()

    return undo


_exposed_in: "WeakSet[CollectorRegistry]" = WeakSet()


def render(tally: Tally) -> bytes:
    """All metrics of the process in Prometheus's text format (CONTENT_TYPE_LATEST).

    They are those of the default registry, and the tally's, unless that registry has such already.
    """
    return generate_latest(_Everything(tally))


class _Everything(Collector):
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()
        if REGISTRY not in _exposed_in:
            yield from Metrics(self._tally).collect()


def render_team(shares: "list[Share]", ready: int) -> bytes:
    """The metrics of a team of workers, as ``render`` does: each with a label ``worker``.

    ``ready``: how many of them take connections. The default registry is not asked, for nobody
    counts in it here: what an application counts it counts in each worker.
    """
    return generate_latest(_Team(shares, ready))


class Share(NamedTuple):
    """What one of several has counted, ``worker`` its label, or nothing if there is but one."""

    worker: tuple[str, ...]
    counts: Counts
    paused: int
    restarts: Mapping[str, int] = {}
    resident: int = 0


class _Team(Collector):
    def __init__(self, shares: list[Share], ready: int) -> None:
        self._shares = shares
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        yield from _families(self._shares, "worker")
        yield _counter(_REQUESTS, self._shares, "worker")
        yield GaugeMetricFamily(
            "greensock_workers", "Workers that take connections.", value=self._ready
        )
        restarts = CounterMetricFamily(
            "greensock_worker_restarts",
            "Workers that have ended and had to be replaced, and why.",
            labels=["worker", "reason"],
        )
        for share in self._shares:
            for reason, number in sorted(share.restarts.items()):
                restarts.add_metric([*share.worker, reason], number)
        yield restarts
        resident = GaugeMetricFamily(
            "greensock_worker_resident_memory_bytes",
            "Memory that workers have in use.",
            labels=["worker"],
        )
        for share in self._shares:
            resident.add_metric(share.worker, share.resident)
        yield resident


def _families(shares: list[Share], *label: str) -> Iterator[Metric]:
    for counted in _COUNTED:
        yield _counter(counted, shares, *label)
    yield _active(shares, *label)
    yield _durations(shares, *label)
    paused = GaugeMetricFamily(
        "greensock_accept_paused", "Servers that cannot accept for now.", labels=label
    )
    for share in shares:
        paused.add_metric(share.worker, share.paused)
    yield paused


def _counter(counted: _Counted, shares: Iterable[Share], *label: str) -> Metric:
    family = CounterMetricFamily(
        f"greensock_{counted.name}", counted.help, labels=[*counted.labels, *label]
    )
    for share in shares:
        for labels, number in share.counts.of(counted.of):
            family.add_metric([*labels, *share.worker], number)
    return family


def _active(shares: Iterable[Share], *label: str) -> Metric:
    family = GaugeMetricFamily(
        "greensock_connections_active", "Connections that are open.", labels=["model", *label]
    )
    for share in shares:
        active = share.counts.active
        seen = {labels[0] for labels, _ in share.counts.of("opened")}
        for model in sorted(seen.union(active)):
            family.add_metric([model, *share.worker], active[model])
    return family


def _durations(shares: Iterable[Share], *label: str) -> Metric:
    family = HistogramMetricFamily(
        "greensock_connection_duration_seconds",
        "How long the connections lasted that have ended.",
        labels=["model", *label],
    )
    bounds = [*map(str, BOUNDS), "+Inf"]
    for share in shares:
        found = dict(share.counts.of("within"))
        for labels, seconds in share.counts.of("seconds"):
            numbers = (found.get((*labels, f"{place:02}"), 0) for place in range(len(bounds)))
            buckets = list(zip(bounds, accumulate(numbers)))
            family.add_metric([*labels, *share.worker], buckets, sum_value=seconds)
    return family
