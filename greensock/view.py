"""What there is to see of servers, as plain data. It may be asked in any thread."""

import os
import time
from collections.abc import Iterable
from heapq import nsmallest
from operator import attrgetter
from typing import Any

from .counts import Counts
from .peers import address_text
from .tally import Tally

# Connections listed at most, the oldest first: a hundred thousand would keep the hub for a second.
LISTED = 1000


def state_of(server: Any, tally: Tally) -> str:
    """'serving', or why it takes nobody: 'draining', 'suspended', 'stopped' or 'paused'."""
    loop = server._gs_loop
    if server._gs_is_draining:
        return "draining"
    if server._gs_suspended is not None:
        return "suspended"
    if loop is None or not loop.serving:
        return "stopped"
    return "paused" if tally.is_paused(server) else "serving"


def obstacles(servers: Iterable[Any], tally: Tally) -> list[str]:
    """Why not all servers take connections; empty if they do."""
    states = ((server, state_of(server, tally)) for server in servers)
    return [f"{place_of(server)} is {state}" for server, state in states if state != "serving"]


def stats(servers: Iterable[Any], tally: Tally) -> dict[str, Any]:
    """Counts since the tally began, and the servers with their states."""
    listed = [
        {
            "address": place_of(server),
            "model": server.model,
            "state": state_of(server, tally),
            "connections": len(server._gs_connections()),
            "max_connections": server.max_connections,
        }
        for server in servers
    ]
    return {
        "time": time.time(),
        "pid": os.getpid(),
        "servers": listed,
        "active": sum(each["connections"] for each in listed),
        **totals(tally.counts()),
    }


def totals(counts: Counts) -> dict[str, Any]:
    """What was counted, without the models."""
    return {
        "opened": counts.total("opened"),
        "closed": _by_reason(counts, "closed"),
        "refused": _by_reason(counts, "refused"),
        "received": counts.total("received"),
        "sent": counts.total("sent"),
        "errors": {
            name: counts.total(name) for name in ("failed", "handshakes_failed", "accepts_failed")
        },
        "pauses": counts.total("pauses"),
        "drains": counts.total("drains"),
        "datagrams": {name: counts.total(name) for name in ("dropped", "truncated")},
    }


def connections(servers: Iterable[Any], most: int | None = None) -> dict[str, Any]:
    """The connections there are, ``most`` at most, or LISTED; the oldest first."""
    pairs = [(server, each) for server in servers for each in server._gs_connections()]
    number = LISTED if most is None else most
    oldest = nsmallest(number, pairs, key=lambda pair: _accepted_at(pair[1]))
    return {
        "time": time.time(),
        "total": len(pairs),
        "connections": [
            {
                "server": place_of(server),
                "peer": address_text(each.client_address),
                "since": each.since,
                "seconds": each.seconds,
                "received": each.received,
                "sent": each.sent,
                "state": each.state,
                "model": each.model,
            }
            for server, each in oldest
        ],
    }


_accepted_at = attrgetter("accepted_at")


def place_of(server: Any) -> str:
    """Its address, for people to read."""
    return address_text(server.server_address)


def _by_reason(counts: Counts, name: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for (_, reason), number in counts.of(name):
        found[reason] = found.get(reason, 0) + number
    return found
