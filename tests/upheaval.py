"""Many clients ask, one connection for each question, while everything under them is replaced."""

import os
import random
import signal
import socket
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import gevent
import gevent.socket

from tests.supervised import supervised
from tests.tools import PATIENCE, wait_until

CLIENTS = 50
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
SHARES = "reuseport", "listener", "balance"


class Clients:
    """Clients who ask and ask until the end of the block.

    ``answered``: how many answers came. ``failed``: the addresses of those who got none, and why.
    Each has one of its own, because ports are used again. ``pause``: seconds before each question.
    """

    def __init__(self, address, count=CLIENTS, pause=0.0):
        self._address = address
        self._count = count
        self._pause = pause
        self._is_over = False
        self.answered = 0
        self.failed = {}
        self._hosts = ip_network("127.64.0.0/10").hosts()

    def __enter__(self):
        self._clients = [gevent.spawn(self._ask) for _ in range(self._count)]
        return self

    def __exit__(self, *error):
        self._is_over = True
        gevent.joinall(self._clients, timeout=PATIENCE, raise_error=True)
        assert all(client.ready() for client in self._clients), "somebody waits in vain"

    def go_on(self, answers=100):
        """Wait for so many more answers."""
        enough = self.answered + answers
        wait_until(lambda: self.answered >= enough)

    def _ask(self):
        while not self._is_over:
            gevent.sleep(self._pause)
            with gevent.socket.socket() as sock:
                sock.settimeout(PATIENCE)
                host = str(next(self._hosts))
                try:
                    # Nobody else shall be hindered afterwards at the ports that were used here:
                    # they are chosen on connecting, and it is the server who closes first.
                    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                    sock.bind((host, 0))
                    sock.connect(self._address)
                    sock.sendall(b".")
                    answer = sock.recv(100)
                    if answer:
                        assert not sock.recv(100)
                except OSError as error:
                    self.failed[host] = repr(error)
                    continue
            if answer:
                self.answered += 1
            else:
                self.failed[host] = "no answer"


@contextmanager
def _program(share, **kwargs):
    with TemporaryDirectory() as folder, supervised(Path(folder), share, **kwargs) as program:
        yield program


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
        wait_until(lambda: len(program.workers()) == 2)
        victim = random.choice(program.workers())
        killed.add(victim)
        os.kill(victim, signal.SIGKILL)
        clients.go_on(50)
    return killed


def strange(failed, taken_by, killed):
    """The addresses of clients who failed, and were in flight in no process that was killed.

    One for each of those may have been accepted and not yet noted.
    """
    in_others = [host for host in failed if host in taken_by and taken_by[host] not in killed]
    never_noted = [host for host in failed if host not in taken_by]
    return in_others + never_noted[len(killed):]


def reloads(size, limit):
    """Workers are replaced SIZE times, and then the program LIMIT times, while clients ask."""
    for share in SHARES:
        with _program(share) as program:
            with Clients(program.address) as clients:
                reload(program, clients, size, int(limit))
            failed = clients.failed
        text = f"{share}: {clients.answered:,} answers, {len(failed)} failed {failed or ''}"
        yield text, not failed


def kills(size, limit):
    """A worker is killed every LIMIT seconds, SIZE times, while clients ask."""
    for share in SHARES:
        with _program(share, workers=4) as program:
            descriptors = len(os.listdir(f"/proc/{program.pid}/fd"))
            killed, silences = set(), []
            with Clients(program.address) as clients:
                for _ in range(size):
                    victim = random.choice(program.workers())
                    killed.add(victim)
                    before = clients.answered
                    os.kill(victim, signal.SIGKILL)
                    gevent.sleep(limit)
                    silences.append(clients.answered == before)
            odd = strange(clients.failed, program.taken_by(), killed)
            wait_until(lambda program=program: len(program.workers()) == 4)
            zombies = program.zombies()
            grown = len(os.listdir(f"/proc/{program.pid}/fd")) - descriptors
        answers = f"{clients.answered:,} answers, {len(clients.failed)} failed"
        yield f"{share}: {answers}, {len(odd)} of them not in who was killed", not odd
        yield f"{share}: {sum(silences)} of {size} times nobody was answered", not any(silences)
        yield f"{share}: {len(zombies)} zombies, {grown:+} descriptors", not zombies and not grown
