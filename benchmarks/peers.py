"""Who is measured."""

import importlib.util
import os
import shutil
from dataclasses import dataclass

TCP = frozenset(["echo", "lines", "guarded", "timeout", "tls"])
ALL = TCP | {"udp", "shutdown"}
OWN = ALL | {"limited", "fanout", "relay"}
RELAYS = frozenset(["relay"])

SYSTEM = "/usr/local/sbin", "/usr/sbin"


@dataclass(frozen=True)
class Peer:
    """A server: ``server`` is how ``benchmarks.servers`` makes it, None for the one in C.

    ``needs``: the module it cannot be without. ``services``: what it can do. ``most``: the
    connections at a time up to which it is measured, None for any number. ``program``: what it is,
    if it is no Python.
    """

    name: str
    title: str
    server: tuple | None
    needs: str | None = None
    services: frozenset = TCP
    most: int | None = None
    program: str | None = None


PEERS = {
    peer.name: peer
    for peer in (
        Peer("greensock", "greensock, GreenletMixIn", ("greensock", "greensock", "GreenletMixIn"),
             "greensock", OWN),
        Peer("greensock-threading", "greensock, ThreadingMixIn",
             ("greensock", "greensock", "ThreadingMixIn"), "greensock", OWN, 1000),
        Peer("greensock-forking", "greensock, ForkingMixIn",
             ("greensock", "greensock", "ForkingMixIn"), "greensock", OWN, 100),
        Peer("greensock-parked", "greensock, parked handler",
             ("greensock", "greensock", "GreenletMixIn", "parked"), "greensock",
             frozenset(["echo"])),
        Peer("greensock-fresh", "greensock, reuse_greenlets = False",
             ("greensock", "greensock", "GreenletMixIn", "fresh"), "greensock",
             frozenset(["echo"])),
        Peer("stdlib-threading", "socketserver, ThreadingMixIn",
             ("stdlib", "socketserver", "ThreadingMixIn"), None, ALL, 1000),
        Peer("stdlib-forking", "socketserver, ForkingMixIn",
             ("stdlib", "socketserver", "ForkingMixIn"), None, ALL, 100),
        # It goes through all of its threads for each new one.
        Peer("stdlib-patched", "socketserver, ThreadingMixIn under monkey.patch_all",
             ("patched", "socketserver", "ThreadingMixIn"), "gevent", TCP | {"udp"}, 1000),
        Peer("gevent", "gevent StreamServer, DatagramServer", ("gevent",), "gevent",
             TCP | {"udp", "fanout", "relay"}),
        Peer("asyncio-streams", "asyncio, streams", ("asyncio", "asyncio", "streams")),
        Peer("asyncio-protocol", "asyncio, protocol", ("asyncio", "asyncio", "protocol"), None,
             TCP | {"udp", "fanout", "relay"}),
        Peer("uvloop-streams", "uvloop, streams", ("asyncio", "uvloop", "streams"), "uvloop"),
        Peer("uvloop-protocol", "uvloop, protocol", ("asyncio", "uvloop", "protocol"), "uvloop",
             TCP | {"udp", "fanout", "relay"}),
        Peer("c-epoll", "an epoll loop in C, the floor", None, None,
             frozenset(["echo", "lines", "udp", "relay"])),
        Peer("haproxy", "HAProxy, one thread, splicing", ("program", "haproxy", "splicing"),
             services=RELAYS, program="haproxy"),
        Peer("haproxy-pipes", "the same with pipes of 1 MiB",
             ("program", "haproxy", "splicing", "pipes"), services=RELAYS, program="haproxy"),
        Peer("haproxy-copying", "HAProxy, one thread, copying", ("program", "haproxy"),
             services=RELAYS, program="haproxy"),
        Peer("socat", "socat, a process for each", ("program", "socat"),
             services=RELAYS, program="socat"),
    )
}


def find(program):
    """Where a program is, or None. Those of administrators are not in everybody's PATH."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM]))


def why_absent(peer, compiler):
    """Why a peer cannot be measured on this machine, or None."""
    if peer.server is None and compiler is None:
        return "no C compiler"
    if peer.needs and importlib.util.find_spec(peer.needs) is None:
        return f"{peer.needs} is not installed"
    if peer.program and find(peer.program) is None:
        return f"{peer.program} is not installed"
    return None
