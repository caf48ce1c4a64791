"""One measurement: a peer, in a process of its own, does one case."""

import json
import sys
import time
from contextlib import contextmanager
from statistics import median

from .building import PYTHON_LOAD
from .processes import Failed, cores, cpu_seconds, have_a_core_each, resident, running

# Seconds for what takes a fraction of one, or for 10,000 connections with some sent again.
PATIENCE = 60
# Seconds in which a server may put idle connections away.
SETTLING = 0.5
# Milliseconds that the load may sleep where it would else take the server its core.
NAP = 10


def measure(case, peer, tools, warm, seconds):
    """The figures, by metric. Failed if it came to nothing."""
    if case.mode == "shutdown":
        return _shutdown(case, peer)
    if case.mode == "hold":
        return _idle(case, peer, tools)
    return _load(case, peer, tools, warm, seconds)


@contextmanager
def _server(case, peer, tools, upstream=None):
    if peer.server is None:
        command = [*tools.floor, case.service]
    else:
        command = [sys.executable, "-m", "benchmarks.servers", peer.name, case.service]
    command += [] if upstream is None else [upstream]
    with running(command, cores()[0]) as server:
        yield server, server.line(PATIENCE)


def _against(port, case, tools, warm, seconds):
    program = PYTHON_LOAD if case.mode == "tls" else tools.load
    values = case.connections, case.size, warm, seconds, 0 if have_a_core_each() else NAP
    return running([*program, case.mode, port, *map(str, values)], cores()[1])


@contextmanager
def _both(case, peer, tools, warm, seconds):
    if case.service == "relay":
        # The load is what it relays to, as well.
        with _against("0", case, tools, warm, seconds) as load:
            with _server(case, peer, tools, load.line(PATIENCE)) as (server, port):
                load.send_line(port)
                yield server, load
    else:
        with _server(case, peer, tools) as (server, port):
            with _against(port, case, tools, warm, seconds) as load:
                yield server, load


def _load(case, peer, tools, warm, seconds):
    with _both(case, peer, tools, warm, seconds) as (server, load):
        load.line(PATIENCE + warm)
        used = -cpu_seconds(server.pid)
        told = json.loads(load.line(PATIENCE + seconds))
        used += cpu_seconds(server.pid)
    return figures(told, used)


def figures(told, used):
    """What the load has told and the CPU seconds its server used meanwhile, by metric."""
    requests, took = told["requests"], told["seconds"]
    # Where gaps are measured, one that never ended is a figure as well.
    if not requests and not told["worst"]:
        raise Failed("no request was answered in time")
    return {
        "rate": requests / took,
        "cpu": used / requests * 1e6 if requests else None,
        "per_cpu": requests / used if used else None,
        "server": used / took * 100,
        "load": told["busy"] / took * 100,
        "lost": told["lost"],
        "p99": told["p99"] * 1e6,
        "worst": told["worst"] * 1000,
        "throughput": told["bytes"] / took / 1e6,
    }


def _idle(case, peer, tools):
    with _server(case, peer, tools) as (server, port):
        with _against(port, case, tools, 0, 0) as load:
            load.line(PATIENCE)
            time.sleep(SETTLING)
            grown = -resident(server.pid)
            load.send_line()
            load.line(PATIENCE)
            time.sleep(SETTLING)
            grown += resident(server.pid)
    return {"kib": grown / 1024 / case.connections}


def _shutdown(case, peer):
    with _server(case, peer, None) as (_, took):
        return {"latency": median(json.loads(took)) * 1000}
