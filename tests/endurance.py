"""What servers endure, in figures: ``python -m tests.endurance`` measures in full size.

Each scenario runs in a process of its own, in both worlds. ``python -m tests.endurance NAME SIZE
LIMIT ...`` runs those that are named, one after the other in this process, patched if
GREENSOCK_TESTS_PATCHED is 1. The exit status is 1 if a figure was missed.
"""

from tests import world  # noqa: F401  # first, because it may monkey-patch

import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import gevent
import gevent.select

import greensock
from greensock import StreamRequestHandler
from greensock.bus import open_bus
from greensock.interfaces import IAcceptPaused, IAcceptResumed, IBusEvent, IServerStarted
from greensock.net import native
from tests import prepared, redis_server
from tests.__main__ import ROOT, WORLDS, environment
from tests.farewell import farewells
from tests.tools import (
    LOCAL,
    MODELS,
    PATIENCE,
    Call,
    Mailbox,
    Shout,
    ask,
    children,
    descriptors,
    no_descriptors_left,
    recorded,
    served,
    subscribed,
    wait_until,
)
from tests.upheaval import kills, reloads

# Eight clients at a time, in a process that is none of gevent's; it prints how many were answered.
CLIENTS = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor

port, count = map(int, sys.argv[1:])

def ask(_):
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(b"hello\\n")
        return client.makefile("rb").read() == b"HELLO\\n"

with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(ask, range(count))))
"""


def answered(server, count):
    """How many of ``count`` clients are answered."""
    args = map(str, [server.server_address[1], count])
    clients = prepared.start("-c", CLIENTS, *args, cwd=ROOT, env=os.environ.copy())
    gevent.select.select([clients.stdout], [], [])
    return int(clients.communicate()[0] or 0)


def resident():
    """Bytes of memory this process has in use."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def new_server(model, handler=Shout):
    return greensock.server_class(model)(LOCAL, handler)


class Nap(StreamRequestHandler):
    """Lets whatever else is on the hub of its process have a turn."""

    def handle(self):
        line = self.rfile.readline()
        gevent.sleep(0.002)
        self.wfile.write(line.upper())


class Spawn(StreamRequestHandler):
    """Makes its thread have a hub, and a greenlet on it."""

    def handle(self):
        line = self.rfile.readline()
        self.wfile.write(gevent.spawn(line.upper).get())


class Raise(StreamRequestHandler):
    """Raises what the line names; else answers it in upper case."""

    def handle(self):
        line = self.rfile.readline()
        error = ERRORS.get(line.strip().decode())
        if error is not None:
            raise error("as asked")
        self.wfile.write(line.upper())


ERRORS = {
    error.__name__: error for error in (Exception, SystemExit, gevent.GreenletExit, MemoryError)
}


# Scenarios yield figures, and whether each is good.


def forks(count, _):
    """Forked requests leave nothing behind, and run nothing of their parent's."""
    parent = os.getpid()
    with Mailbox() as strangers:

        def tick():
            while True:
                if os.getpid() != parent:
                    strangers.put(os.getpid())
                gevent.sleep(0.001)

        ticker = gevent.spawn(tick)
        with served(new_server("fork", Nap), "greenlet") as server:
            answered(server, min(count, 50))
            wait_until(lambda: not server.active_children)
            before = descriptors()
            began = time.monotonic()
            good = answered(server, count)
            yield f"{good} of {count} answered in {time.monotonic() - began:.1f} s", good == count
            wait_until(lambda: not server.active_children)
            left = children()
            yield f"{len(left)} children or zombies left", not left
            grown = descriptors() - before
            yield f"{grown} descriptors more", grown <= 0
        ticker.kill()
        clean = strangers.is_empty()
        yield f"parent's greenlets {'never ran' if clean else 'RAN'} in children", clean


def threads(count, megabytes):
    """Threads that use gevent give everything back."""
    with served(new_server("thread", Spawn), "greenlet") as server:
        answered(server, 0)  # which opens what clients are started by, and that stays
        before = descriptors()
        answered(server, min(count, 1000))
        wait_until(lambda: descriptors() <= before)  # the last threads have ended
        memory = resident()
        began = time.monotonic()
        good = answered(server, count)
        yield f"{good} of {count} answered in {time.monotonic() - began:.1f} s", good == count
        try:
            wait_until(lambda: descriptors() <= before)
        except AssertionError:
            pass  # which the next line tells
        grown = descriptors() - before
        yield f"{grown} descriptors more", grown <= 0
        grown = (resident() - memory) / 1e6
        yield f"{grown:+.2f} MB of memory", grown < megabytes


def starved(seconds, percent):
    """Without descriptors a server waits at its ease, and is back as soon as there are some."""
    logging.disable()
    for model in MODELS:
        with served(new_server(model), "greenlet") as server:
            before = descriptors()
            ask(server)
            wait_until(lambda n=before: n >= descriptors())  # its worker has ended
            with native.Socket() as client, recorded(IAcceptPaused, IAcceptResumed) as record:
                with no_descriptors_left():
                    client.connect(server.server_address)
                    client.sendall(b"hello\n")
                    wait_until(lambda: record)
                    used = time.process_time()
                    gevent.sleep(seconds)
                    load = (time.process_time() - used) / seconds * 100
                    yield f"{model}: {load:.2f} % of a processor", load < percent
                    paused = len(record)
                freed = time.monotonic()
                gevent.select.select([client.fileno()], [], [], 30)
                wait = time.monotonic() - freed
                good = client.recv(100) == b"HELLO\n" and wait < 1.1
                yield f"{model}: served {wait:.3f} s after some were free", good
                wait_until(lambda: len(record) > 1)
                kinds = [type(event).__name__ for event in record]
                good = paused == 1 and kinds == ["AcceptPaused", "AcceptResumed"]
                yield f"{model}: events {', '.join(kinds)}", good


def errors(count, _):
    """Whatever a handler raises, the next requests are served."""
    logging.disable()
    threading.excepthook = lambda args: None
    for model in "greenlet", "thread", "fork":
        with served(new_server(model, Raise), "greenlet") as server:
            for name in ERRORS:
                nothing = ask(server, name.encode() + b"\n")
                good = sum(ask(server) == b"HELLO\n" for _ in range(count))
                text = f"{model}: {good} of {count} answered after {name}"
                yield text, (b"", count) == (nothing, good)


def messages(count, _):
    """Two processes publish and one subscribes: nothing is lost, doubled or missed untold."""
    if redis_server.PROGRAM is None:
        yield "there is no redis-server here", False
        return
    with tempfile.TemporaryDirectory() as folder, redis_server.running(Path(folder)) as redis:
        with open_bus(redis.url) as bus, bus.subscribe("news", maxsize=count) as subscription:
            began = time.monotonic()
            with redis_server.publishers(redis.url, "news", 2, count // 2):
                got = [subscription.get(PATIENCE) for _ in range(count // 2 * 2)]
            rate = len(got) / (time.monotonic() - began)
            yield f"{len(got)} messages got, {rate:.0f} a second", True
            good = [message.number for message in got] == list(range(1, len(got) + 1))
            yield f"their numbers {'follow' if good else 'do NOT follow'} each other", good
            twice = len(got) - len({message.data for message in got})
            yield f"{twice} doubled", not twice
            missed = sum(message.missed for message in got)
            yield f"{missed} missed", not missed
            with recorded_bus() as record:
                redis.restart()
                wait_until(lambda: len(record) == 2)
            yield f"after a restart: {record[1].missed}", record[1].missed == {"news": 1}
            bus.publish("news", b"after")
            found = subscription.get(PATIENCE)
            good = (found.data, found.missed) == (b"after", 1)
            yield f"and then {found.missed} was told with the next message", good


@contextmanager
def recorded_bus():
    record = []
    with subscribed(IBusEvent, record.append):
        yield record


def shutdown(rounds, limit):
    """An idle server ends at once, whoever asks it to."""
    askers = {
        "another thread": shutdown_from_thread,
        "another greenlet": shutdown_from_greenlet,
        "a signal handler": shutdown_from_signal_handler,
    }
    for model in MODELS:
        for asker, measure in askers.items():
            took = []
            for _ in range(rounds):
                with new_server(model) as server:
                    took.append(measure(server))
            yield f"{model}: {max(took) * 1000:.2f} ms from {asker}", max(took) < limit


def shutdown_from_thread(server):
    return seconds_until_ended(server, lambda: Call("thread", server.shutdown).end())


def shutdown_from_greenlet(server):
    return seconds_until_ended(server, server.shutdown)


def seconds_until_ended(server, shut_down):
    with Mailbox() as mailbox:
        with subscribed(IServerStarted, lambda event: mailbox.put("started")):
            call = Call("greenlet", server.serve_forever)
            mailbox.get()
        assert b"HELLO\n" == ask(server)
        began = time.monotonic()
        shut_down()
        call.end()
        return time.monotonic() - began


def shutdown_from_signal_handler(server):
    began = None

    def shut_down(number, frame):
        nonlocal began
        began = time.monotonic()
        server.shutdown()

    def send():
        assert b"HELLO\n" == ask(server)
        os.kill(os.getpid(), signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, shut_down)
    sender = gevent.spawn(send)
    server.serve_forever()
    took = time.monotonic() - began
    sender.get()
    signal.signal(signal.SIGUSR1, previous)
    return took


# The full size of each, and its limit if it has one: MB, percent, seconds.
FULL = {
    forks: (10_000, 0),
    threads: (10_000, 2),
    starved: (5, 1),
    errors: (1000, 0),
    messages: (100_000, 0),
    shutdown: (20, 0.02),
    farewells: (200, 0),
    reloads: (20, 3),
    kills: (100, 0.2),
}


def run(scenario, size, limit):
    """Run one in this process, print its figures, and return the exit status."""
    missed = False
    for text, good in scenario(size, limit):
        missed |= not good
        print("      " if good else "MISSED", text, flush=True)
    return int(missed)


def run_all():
    status = 0
    for name in WORLDS:
        for scenario, limits in FULL.items():
            print(f"{name} process: {scenario.__doc__}", flush=True)
            command = [sys.executable, "-m", "tests.endurance", scenario.__name__]
            command += map(str, limits)
            status |= subprocess.run(command, cwd=ROOT, env=environment(name)).returncode != 0
    return int(status)


def main(args):
    if not args:
        return run_all()
    scenarios = {each.__name__: each for each in FULL}
    statuses = []
    with prepared.nurseries():
        for name, size, limit in zip(*[iter(args)] * 3):
            statuses.append(run(scenarios[name], int(size), float(limit)))
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
