"""What a worker counts, and notes on its card for whoever wants to know.

Notes are an object of JSON: the worker's ``serial``, ``index`` and ``pid``; ``state``, see
``view.state_of``; ``ready_at``, in monotonic seconds, None before; ``max_connections``; ``paused``;
and the counts.
"""

import os
from time import monotonic

from .. import view
from ..tally import Tally
from .ledger import as_bytes

# Seconds between two times it notes them unasked, at least. Who has a hundred thousand connections
# takes 20 ms for it.
PAUSE = 0.9


class Counting:
    """The numbers of one worker of ``server``, from its making until its process ends."""

    def __init__(self, server, worker):
        self._server = server
        self._card = worker.card
        self._serial = worker.serial
        self._tally = Tally()
        self._noted_at = 0.0

    @property
    def is_due(self):
        """Whether it has noted nothing for a while."""
        return monotonic() - self._noted_at >= PAUSE

    def note(self, taken, ready_at, is_leaving):
        """Note what there is by now.

        ``taken``: how many requests it has taken. ``ready_at``: since when it does, in monotonic
        seconds, None before. ``is_leaving``: whether it will take no more.
        """
        server = self._server
        counts = self._tally.counts()
        counts.add(taken, "requests", server.model)
        notes = {
            "serial": self._serial,
            "index": server.worker_index,
            "pid": os.getpid(),
            "state": "draining" if is_leaving else view.state_of(server, self._tally),
            "ready_at": ready_at,
            "max_connections": server.max_connections,
            "paused": self._tally.paused(),
        }
        self._card.write(as_bytes(notes | counts.as_json()))
        self._noted_at = monotonic()
