"""The status server of a team of workers, at the supervisor's desk.

It shows what all of them count, and have counted, and asks each for its connections.
"""

import os
import socket
import time
from collections import Counter
from time import monotonic
from typing import Any

from .. import view
from ..counts import Counts
from ..supervision.desk import PATIENCE, Desk, Known
from ..supervision.ledger import Ledger, Place
from ..supervision.memory import resident
from .handler import StatusHandler
from .server import StatusServer

# Seconds for all workers to note what they have counted by now. Of one that is too busy, what it
# noted within the last second will do.
PROMPT = 0.25

# Seconds for which a worker's hub has not turned when it is said to be stuck: three beats.
STUCK = 3.0


class TeamStatus(StatusServer):
    """Serves what is to be seen of the workers that ``desk`` knows.

    ``site`` listens already, and belongs to it from here on.
    """

    def __init__(self, site: socket.socket, desk: Desk) -> None:
        self.address_family = site.family
        super().__init__(site.getsockname()[:2], StatusHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = site
        self.server_address = site.getsockname()
        self._desk = desk
        self._server = desk.server
        self._ledger = Ledger(desk.board)
        self._supervisor = os.getppid()

    def stats(self) -> dict[str, Any]:
        """The sums over all workers, and each of those that are there."""
        places = self._places(fresh=True)
        counts = Counts.sum(place.counts for place in places)
        restarts: Counter[str] = Counter()
        for place in places:
            restarts.update(place.restarts)
        active = sum(counts.active.values())
        return {
            "time": time.time(),
            "pid": self._supervisor,
            "servers": [
                {
                    "address": view.place_of(self._server),
                    "model": self._server.model,
                    "state": self._desk.board.state,
                    "connections": active,
                    "max_connections": _limit(places),
                }
            ],
            "active": active,
            **view.totals(counts),
            "requests": counts.total("requests"),
            "restarts": restarts,
            "workers": [_about(worker, notes) for worker, notes in self._noted(places)],
        }

    def listed(self) -> dict[str, Any]:
        """The connections of all workers that answer, the oldest first."""
        answers, silent = self._desk.ask_all("connections", view.LISTED, patience=PATIENCE)
        found = [
            {**each, "worker": worker.index, "pid": worker.pid}
            for worker, answer in answers
            for each in answer["connections"]
        ]
        return {
            "time": time.time(),
            "total": sum(answer["total"] for _, answer in answers),
            "connections": sorted(found, key=lambda each: each["since"])[: view.LISTED],
            "silent": [{"worker": worker.index, "pid": worker.pid} for worker in silent],
        }

    def metrics(self) -> bytes:
        """What all workers have counted, by place."""
        from .. import metrics

        places = self._places(fresh=True)
        shares = [
            metrics.Share(
                (str(place.index),), place.counts, place.paused, place.restarts, _resident(place)
            )
            for place in places
        ]
        return metrics.render_team(shares, self._ready(places))

    def obstacles(self) -> list[str]:
        """Why the team takes no connections; empty if it does."""
        state, place = self._desk.board.state, view.place_of(self._server)
        if state != "serving":
            return [f"{place} is {state}"]
        return [] if self._ready(self._places()) else [f"{place} has no worker that is ready"]

    def _places(self, fresh: bool = False) -> list[Place]:
        if fresh:
            self._desk.ask_all("publish", patience=PROMPT)
        return self._ledger.read(worker.card for worker in self._desk.workers.values())

    def _noted(self, places: list[Place]) -> list[tuple[Known, dict[str, Any] | None]]:
        """The workers that are there, in order, with what they have noted, if they have."""
        by_pid = {notes["pid"]: notes for place in places for notes in place.notes}
        return [(worker, by_pid.get(worker.pid)) for worker in self._desk.in_order]

    def _ready(self, places: list[Place]) -> int:
        """How many workers take connections."""
        return sum(_state(*each) == "serving" for each in self._noted(places))


def _about(worker: Known, notes: dict[str, Any] | None) -> dict[str, Any]:
    counts = Counts.from_json(notes or {})
    ready_at = None if notes is None else notes["ready_at"]
    return {
        "index": worker.index,
        "pid": worker.pid,
        "state": _state(worker, notes),
        "seconds": None if ready_at is None else monotonic() - ready_at,
        "rss": resident(worker.pid),
        "connections": sum(counts.active.values()),
        "requests": counts.total("requests"),
        **{name: counts.total(name) for name in ("opened", "failed", "received", "sent")},
    }


def _state(worker: Known, notes: dict[str, Any] | None) -> str:
    """As ``view.state_of``; 'starting' before there is one, 'stuck' if its hub stands still."""
    if notes is None or notes["ready_at"] is None:
        return "starting"
    return "stuck" if monotonic() - worker.card.beaten_at > STUCK else str(notes["state"])


def _resident(place: Place) -> int:
    return sum(resident(notes["pid"]) or 0 for notes in place.notes)


def _limit(places: list[Place]) -> int | None:
    """How many connections they take together, None for no limit."""
    limits = [each["max_connections"] for place in places for each in place.notes]
    return None if None in limits else sum(limits)
