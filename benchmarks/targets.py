"""What greensock is to reach."""

from dataclasses import dataclass

from . import stats


@dataclass(frozen=True)
class Target:
    """``peer`` in ``case``, compared with ``other`` in ``other_case``, or by itself if None."""

    suite: str
    case: str
    metric: str
    at_least: float | None = None
    at_most: float | None = None
    other: str | None = None
    other_case: str | None = None
    peer: str = "greensock"

    def measured(self, results):
        """The figure or the ratio; None if something it takes was not measured."""
        own = stats.middle(results, self.suite, self.case, self.peer, self.metric)
        if self.other is None:
            return own
        case = self.other_case or self.case
        return stats.ratio(own, stats.middle(results, self.suite, case, self.other, self.metric))

    def is_met(self, results):
        value = self.measured(results)
        if value is None:
            return None
        return value >= self.at_least if self.at_most is None else value <= self.at_most


_HUNDRED = "64 B × 100"

TARGETS = (
    Target("echo", _HUNDRED, "rate", 1.6, other="gevent"),
    Target("echo", _HUNDRED, "rate", 1.15, other="uvloop-streams"),
    Target("echo", _HUNDRED, "rate", 0.90, other="uvloop-protocol"),
    Target("echo", _HUNDRED, "rate", 0.80, other="c-epoll"),
    Target("lines", _HUNDRED, "rate", 1.8, other="stdlib-patched"),
    Target("lines", _HUNDRED, "rate", 1.05, other="uvloop-streams"),
    Target("echo", "64 B × 10,000", "rate", 0.8, other="greensock", other_case=_HUNDRED),
    Target("connect", "32 at a time", "cpu", at_most=0.75, other="gevent"),
    Target("idle", "recv and sendall", "kib", at_most=8.5),
    Target("idle", "rfile and wfile", "kib", at_most=10),
    Target("idle", "recv and sendall", "kib", at_most=2.5, peer="greensock-parked"),
    Target("timeout", "with", "rate", 0.95, other="greensock", other_case="without"),
    *(
        Target("limits", "with", "rate", 0.93, other=peer, other_case="without", peer=peer)
        for peer in ("greensock", "greensock-threading", "greensock-forking")
    ),
    Target("udp", _HUNDRED, "per_cpu", 3, other="gevent"),
    Target("fair", "64 B", "worst", at_most=10),
    Target("slow", "beside 5,000", "p99", at_most=2, other="greensock", other_case="alone"),
    Target("fanout", "10,000", "rate", 2, other="gevent"),
    Target("fanout", "10,000", "rate", 1.2, other="uvloop-protocol"),
    Target("fanout", "1,000 and a frozen one", "rate", 0.95, other="greensock",
           other_case="1,000"),
    *(
        Target("relay", case, "per_cpu", at_least, other=other)
        for case in ("bulk × 1", "bulk × 10")
        for other, at_least in (("haproxy", 1.6), ("gevent", 2.2))
    ),
    *(
        Target("relay", _HUNDRED, "rate", at_least, other=other)
        for other, at_least in (
            ("haproxy", 1.0), ("haproxy-copying", 1.0), ("uvloop-protocol", 0.95), ("gevent", 1.4)
        )
    ),
    Target("models", "32 at a time", "rate", 1.0, other="stdlib-threading",
           peer="greensock-threading"),
    Target("models", "32 at a time", "rate", 1.0, other="stdlib-forking",
           peer="greensock-forking"),
)
