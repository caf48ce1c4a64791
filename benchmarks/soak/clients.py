"""The mix: ``python -m benchmarks.soak.clients PLAIN_PORT TLS_PORT SECONDS``.

It prints a line of JSON each second, and a last one once every client has gone.
"""

import json
import random
import sys
import time

import gevent

from ..lifetime import end_with_parent
from .dealings import TurnedAway, Wrong, connect, secured
from .kinds import KINDS

# Seconds a client waits before it comes again.
REST = 0.03
# Seconds the last ones get to end, which is more than any limit of the servers'.
LAST_VISITS = 60


class Party:
    """All clients of one kind at one server, and what became of them."""

    def __init__(self, kind, number, address, is_tls):
        self.kind, self.address, self.is_tls = kind, address, is_tls
        self.hosts = [f"127.{2 + is_tls}.{number}.{1 + each}" for each in range(kind.hosts)]
        self.visits = self.answers = self.turned_away = 0
        self.wrong = []

    def raw(self, number=0):
        return connect(self.address, self.hosts[number % len(self.hosts)])

    def open(self):
        sock = self.raw()
        if not self.is_tls:
            return sock
        try:
            return secured(sock)
        except BaseException:
            sock.close()
            raise

    def come_and_go(self, ends):
        while time.monotonic() < ends:
            try:
                # Others add to the sum meanwhile, so it is read afterwards.
                got = self.kind.visit(self.open, self.raw)
                self.answers += got
            except TurnedAway:
                self.turned_away += 1
            except (Wrong, OSError) as error:
                self.wrong.append(repr(error))
            self.visits += 1
            gevent.sleep(random.uniform(0, REST))

    def told(self):
        return {
            "kind": self.kind.visit.__name__ + (" from many hosts" if self.kind.hosts > 1 else ""),
            "server": "TLS" if self.is_tls else "plain",
            "hosts": self.hosts,
            "means_well": self.kind.means_well,
            "visits": self.visits,
            "answers": self.answers,
            "turned_away": self.turned_away,
            "wrong": len(self.wrong),
            "first_wrong": self.wrong[:3],
        }


def parties(plain, tls):
    return [
        Party(kind, number, ("127.0.0.1", port), is_tls)
        for number, kind in enumerate(KINDS)
        for is_tls, port in enumerate([plain, tls])
        if (kind.is_for_tls if is_tls else kind.is_for_plain)
    ]


def main(plain, tls, seconds):
    end_with_parent()
    everybody = parties(int(plain), int(tls))
    ends = time.monotonic() + float(seconds)
    clients = [
        gevent.spawn(party.come_and_go, ends)
        for party in everybody
        for _ in range(party.kind.at_a_time)
    ]
    while time.monotonic() < ends:
        gevent.sleep(min(1, max(0, ends - time.monotonic())))
        answers = sum(party.answers for party in everybody)
        wrong = sum(len(party.wrong) for party in everybody)
        print(json.dumps({"answers": answers, "wrong": wrong}), flush=True)
    gevent.joinall(clients, timeout=LAST_VISITS)
    late = sum(not client.ready() for client in clients)
    print(json.dumps({"parties": [party.told() for party in everybody], "late": late}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
