"""Many clients ask, one connection for each question, while everything under them is replaced."""

import os
import random
import signal

import gevent
import gevent.socket

from tests.helpers import PATIENCE, wait_until

CLIENTS = 50


class Clients:
    """Clients who ask and ask until the end of the block.

    ``answered``: how many answers came. ``failed``: the ports of those who got none, and why.
    """

    def __init__(self, address, count=CLIENTS):
        self._address = address
        self._count = count
        self._is_over = False
        self.answered = 0
        self.failed = {}

    def __enter__(self):
        self._clients = [gevent.spawn(self._ask) for _ in range(self._count)]
        return self

    def __exit__(self, *error):
        self._is_over = True
        gevent.joinall(self._clients, timeout=PATIENCE, raise_error=True)
        assert all(client.ready() for client in self._clients), "somebody waits in vain"

    def go_on(self, answers=200):
        """Wait for so many more answers."""
        enough = self.answered + answers
        wait_until(lambda: self.answered >= enough)

    def _ask(self):
        while not self._is_over:
            with gevent.socket.socket() as sock:
                sock.settimeout(PATIENCE)
                port = None
                try:
                    sock.connect(self._address)
                    port = sock.getsockname()[1]
                    sock.sendall(b"?")
                    answer = sock.recv(100)
                except OSError as error:
                    self.failed[port] = repr(error)
                    continue
            if answer:
                self.answered += 1
            else:
                self.failed[port] = "no answer"


def reload(program, clients, reloads, upgrades, workers=2):
    """Replace the workers, and then the program, so many times each."""
    for times in range(1, reloads + 1):
        program.signal(signal.SIGHUP)
        program.said("replaced", workers * times)
        clients.go_on()
    for times in range(1, upgrades + 1):
        program.signal(signal.SIGUSR2)
        program.listen(1 + times)
        program.said("has taken over", times)
        clients.go_on()


def kill(program, clients, times):
    """Kill a worker at random so many times, each when all are there; the processes killed."""
    killed = set()
    for _ in range(times):
        wait_until(lambda: len(workers_of(program.pid)) == 2)
        victim = random.choice(workers_of(program.pid))
        killed.add(victim)
        os.kill(victim, signal.SIGKILL)
        clients.go_on(100)
    return killed


def workers_of(pid):
    """The processes a supervisor has forked, but for those that have ended."""
    with open(f"/proc/{pid}/task/{pid}/children") as listing:
        return [int(child) for child in listing.read().split() if state_of(int(child)) != "Z"]


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"
