"""What the proxy has counted, for Prometheus; it takes the package prometheus_client."""

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from .upstreams import FINISHED, REACHED

_LABELS = ["forward", "upstream"]


class ProxyMetrics(Collector):
    """Of several Sites."""

    def __init__(self, sites):
        self._sites = sites

    def collect(self):
        """The metrics of this moment."""
        outcomes = CounterMetricFamily(
            "greensock_proxy_outcomes",
            "What became of connections and requests.",
            labels=["mode", "site", "outcome"],
        )
        for site in self._sites:
            for (mode, outcome), number in site.handler.outcomes.counts():
                outcomes.add_metric([mode, site.name, outcome], number)
        yield outcomes
        yield from self._of_upstreams()

    describe = collect

    def _of_upstreams(self):
        taken = _counter("connections", "Connections that were meant for it.")
        active = _gauge("connections_active", "Those that are open.")
        failures = _counter("failures", "Those that failed, and at what.", "what")
        sent = _counter("sent_bytes", "Bytes it was sent over those that have ended.")
        received = _counter("received_bytes", "Bytes that came from it, in the same.")
        is_up = _gauge("up", "Whether it is in service: 1, or 0 while it is down or ejected.")
        for site in self._sites:
            for each, state in site.upstreams.states() if site.upstreams else ():
                labels = site.name, each.name
                taken.add_metric(labels, each.taken)
                active.add_metric(labels, each.active)
                for what in REACHED, FINISHED:
                    failures.add_metric([*labels, what], each.failures[what])
                sent.add_metric(labels, each.sent)
                received.add_metric(labels, each.received)
                is_up.add_metric(labels, state == "up")
        return taken, active, failures, sent, received, is_up


def _counter(name, text, *more):
    name = f"greensock_proxy_upstream_{name}"
    return CounterMetricFamily(name, text, labels=[*_LABELS, *more])


def _gauge(name, text):
    return GaugeMetricFamily(f"greensock_proxy_upstream_{name}", text, labels=_LABELS)


def expose(sites):
    """Have the default registry collect those of ``sites``; return what undoes it."""
    metrics = ProxyMetrics(sites)
    REGISTRY.register(metrics)
    return lambda: REGISTRY.unregister(metrics)
