"""What is measured."""

from dataclasses import dataclass, field

from .peers import PEERS

# What a class may ask for is measured where it makes a difference, and a proxy where it relays.
EVERYBODY = tuple(name for name, peer in PEERS.items() if "lines" in peer.services)
# Workers of their own per connection are the subject of ``models``.
ONE_PROCESS = tuple(
    name for name in EVERYBODY if name not in ("greensock-threading", "greensock-forking")
)
MODELS = ("greensock", "greensock-threading", "greensock-forking",
          "stdlib-patched", "stdlib-threading", "stdlib-forking")
COUNTERPARTS = {
    "stdlib-patched": "greensock",
    "stdlib-threading": "greensock-threading",
    "stdlib-forking": "greensock-forking",
}


@dataclass(frozen=True)
class Metric:
    """A figure: its title with its unit, how it is written, and whether more of it is better."""

    title: str
    form: str
    more_is_better: bool


METRICS = {
    "rate": Metric("requests/s", "{:,.0f}", True),
    "cpu": Metric("server CPU, µs/request", "{:,.2f}", False),
    "per_cpu": Metric("requests per CPU second", "{:,.0f}", True),
    "server": Metric("server's core, %", "{:.0f}", True),
    "load": Metric("load busy, %", "{:.0f}", False),
    "lost": Metric("sent again", "{:.0f}", False),
    "kib": Metric("KiB per connection", "{:.2f}", False),
    "p99": Metric("99 % within, µs", "{:.0f}", False),
    "worst": Metric("worst gap, ms", "{:.2f}", False),
    "throughput": Metric("sender's MB/s", "{:,.0f}", True),
    "latency": Metric("shutdown(), ms", "{:.2f}", False),
}


@dataclass(frozen=True)
class Case:
    """One thing every peer of a suite does: ``service`` is the server's part of it, ``mode`` the
    load's. ``size`` is in bytes. ``quick``: it is part of a quick run, too."""

    label: str
    service: str
    mode: str
    connections: int = 100
    size: int = 64
    quick: bool = True


@dataclass(frozen=True)
class Suite:
    """The first of ``metrics`` is the one that is compared, with the peer's counterpart."""

    title: str
    cases: tuple
    peers: tuple
    metrics: tuple = ("rate", "cpu", "server", "load")
    counterparts: dict = field(default_factory=dict)


def _bytes(size):
    return f"{size} B" if size < 1024 else f"{size // 1024} KiB"


def _grid(service, counts, sizes):
    return tuple(
        Case(f"{_bytes(size)} × {count:,}", service, "echo", count, size, count * size == 6400)
        for size in sizes
        for count in counts
    )


SUITES = {
    "echo": Suite(
        "Echo, with recv and sendall",
        _grid("echo", (1, 100, 1000, 10_000), (64, 4096, 65536)),
        ONE_PROCESS,
    ),
    "lines": Suite(
        "Lines, with rfile and wfile", _grid("lines", (1, 100, 1000), (64,)), ONE_PROCESS
    ),
    "connect": Suite(
        "Connect, echo 64 B, close",
        (Case("32 at a time", "echo", "connect", 32),),
        (*ONE_PROCESS, "greensock-fresh"),
        ("cpu", "rate", "server", "load"),
    ),
    "idle": Suite(
        "Memory of an idle connection that has echoed once",
        (
            Case("recv and sendall", "echo", "hold", 5000),
            Case("rfile and wfile", "lines", "hold", 5000),
        ),
        tuple(name for name in (*ONE_PROCESS, "greensock-parked") if name != "stdlib-forking"),
        ("kib",),
    ),
    "timeout": Suite(
        "Echo with an idle timeout of 30 s",
        (Case("without", "echo", "echo"), Case("with", "timeout", "echo")),
        tuple(name for name in ONE_PROCESS if name not in ("stdlib-forking", "c-epoll")),
    ),
    "limits": Suite(
        "Echo with all the limits there are, none of which is reached",
        (Case("without", "echo", "echo"), Case("with", "limited", "echo")),
        ("greensock", "greensock-threading", "greensock-forking"),
    ),
    "udp": Suite(
        "UDP echo",
        (Case("64 B × 100", "udp", "udp"),),
        ("greensock", "greensock-threading", "greensock-forking", *ONE_PROCESS[1:]),
        ("per_cpu", "rate", "server", "load", "lost"),
    ),
    "fair": Suite(
        "Ping-pong beside a connection that sends without a pause",
        (Case("64 B", "echo", "fair", 2),),
        ONE_PROCESS,
        ("worst", "rate", "throughput"),
    ),
    "slow": Suite(
        "Ping-pong of lines beside clients that send theirs a byte every 5 s, and never end it",
        (
            Case("alone", "guarded", "slow", 1),
            Case("beside 5,000", "guarded", "slow", 5001, quick=False),
        ),
        tuple(name for name in ONE_PROCESS if name != "c-epoll"),
        ("p99", "worst", "rate"),
    ),
    "shutdown": Suite(
        "shutdown() of an idle server, from another thread",
        (Case("idle", "shutdown", "shutdown", 1),),
        tuple(name for name in MODELS if name != "stdlib-patched"),
        ("latency",),
        COUNTERPARTS,
    ),
    "tls": Suite(
        "Echo under TLS",
        (Case("64 B × 50", "tls", "tls", 50),),
        tuple(name for name in ONE_PROCESS if name != "c-epoll"),
        ("cpu", "rate", "server", "load"),
    ),
    "fanout": Suite(
        "Fan-out: one says 64 B, and when all have heard it the next; a request is a delivery",
        (
            *(
                Case(f"{count:,}", "fanout", "fanout", count, quick=count == 10)
                for count in (10, 1000, 10_000)
            ),
            Case("1,000 and a frozen one", "fanout", "frozen", 1000, quick=False),
        ),
        ("greensock", "gevent", "asyncio-protocol", "uvloop-protocol"),
        ("rate", "per_cpu", "p99", "server", "load"),
    ),
    "relay": Suite(
        "Relay: a request is a megabyte of bulk, one way, or a round trip of 64 B",
        (
            Case("bulk × 1", "relay", "bulk", 1, quick=False),
            Case("bulk × 10", "relay", "bulk", 10),
            Case("64 B × 1", "relay", "trips", 1, quick=False),
            Case("64 B × 100", "relay", "trips", 100),
        ),
        ("greensock", "gevent", "asyncio-protocol", "uvloop-protocol", "haproxy",
         "haproxy-pipes", "haproxy-copying", "socat", "c-epoll"),
        ("per_cpu", "rate", "cpu", "server", "load"),
    ),
    "models": Suite(
        "A connection per request, each model beside its counterpart in the standard library",
        (Case("32 at a time", "echo", "connect", 32),),
        MODELS,
        ("rate", "cpu", "server", "load"),
        COUNTERPARTS,
    ),
}
