"""Servers with worker processes, and how to see what becomes of those."""

from contextlib import contextmanager

import greensock
from greensock import PreforkMixIn
from greensock.interfaces import IWorkerEnded, IWorkerFailed, IWorkerStarted
from tests.helpers import LOCAL, ask, children, connect, recorded, served, wait_until


class Server(PreforkMixIn, greensock.TCPServer):
    workers = 2


def new_server(handler, base=greensock.TCPServer, address=LOCAL, **settings):
    settings = {"workers": 2, **settings}
    return type("Server", (PreforkMixIn, base), settings)(address, handler)


@contextmanager
def at_work(server):
    """Serve it until the end of the block; the events of its workers."""
    with recorded(IWorkerStarted, IWorkerEnded, IWorkerFailed) as record, served(server):
        wanted = server.workers
        wait_until(lambda: len(of(record, IWorkerStarted)) >= wanted)
        yield record
    assert not children()


def of(record, interface):
    return [event for event in record if interface.providedBy(event)]


def was(event, status):
    """Whether a worker ended so, as far as that is known: gevent may have waited for any child."""
    return event.status in (status, None)


def refused(server):
    """Whether nobody listens there."""
    try:
        connect(server).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it was in the queue of a listener when that was closed
    return False


def pids_of(server, wanted):
    """Ask until so many workers have answered."""
    pids = set()

    def all_have():
        pids.add(int(ask(server, b"")))
        return len(pids) == wanted

    wait_until(all_have)
    return pids


def state_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]
