"""What clients notice while workers, and programs, come and go."""

import os
import signal

import pytest

from tests.helpers import wait_until
from tests.supervised import supervised
from tests.upheaval import Clients, kill, reload, strange


def asking(program):
    """As many as keep all workers busy, and leave some time to whoever is to take their place."""
    return Clients(program.address, 20, 0.01)


every_share = pytest.mark.parametrize("share", ["reuseport", "listener", "balance"])


@every_share
def test_nobody_is_failed_while_workers_and_program_are_replaced(tmp_path, share):
    with supervised(tmp_path, share) as program, asking(program) as clients:
        reload(program, clients, reloads=1, upgrades=int(share == "reuseport"))
    assert {} == clients.failed


def test_nobody_is_failed_when_the_next_version_has_fewer_workers(tmp_path):
    with supervised(tmp_path, workers=6) as program, asking(program) as clients:
        clients.go_on()
        program.becomes("two", "Server.workers = 1")
        program.signal(signal.SIGUSR2)
        program.listen(2)
        program.said("worker . has ended, .* removed", 5)
        clients.go_on()
    assert {} == clients.failed


def test_nobody_is_failed_but_by_who_was_killed(tmp_path):
    with supervised(tmp_path) as program:
        descriptors = len(os.listdir(f"/proc/{program.pid}/fd"))
        with asking(program) as clients:
            killed = kill(program, clients, 3)
        assert not strange(clients.failed, program.taken_by(), killed)
        wait_until(lambda: len(program.workers()) == 2)
        assert descriptors == len(os.listdir(f"/proc/{program.pid}/fd"))
