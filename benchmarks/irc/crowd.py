"""A crowd in rooms, one of which is busy: how long a PING takes meanwhile."""

import random
import time

from ..processes import Failed, cpu_seconds, resident
from .members import Crowd

# Clients that are about to come at a time.
AT_ONCE = 200
NOT_IN = "not all are in"


def measure(server, port, clients, room, rate, seconds):
    """The figures of a crowd of so many clients, in rooms of ``room``, of which one is busy.

    ``rate``: messages a second in that room.
    """
    with Crowd() as crowd:
        before = resident(server.pid)
        began = time.perf_counter()
        _gather(crowd, port, clients, room)
        came = time.perf_counter() - began
        kib = (resident(server.pid) - before) / 1024 / clients
        told = {"seconds until all were in": came, "KiB of the server for each": kib}
        return {**told, **_talk(server, crowd, room, rate, seconds)}


def _gather(crowd, port, clients, room):
    for number in range(clients):
        crowd.enter(port, f"m{number}", f"#r{number // room}")
        if number % AT_ONCE == 0:
            crowd.wait(lambda: all(each.is_in for each in crowd.members[-AT_ONCE:]), NOT_IN)
    crowd.wait(lambda: all(each.is_in for each in crowd.members), NOT_IN)
    while crowd.read(0.3):
        pass


def _talk(server, crowd, room, rate, seconds):
    busy, pongs, heard = crowd.members[:room], [], []
    for member in crowd.members:
        member.hear = lambda line: _note_pong(line, pongs)
        member.lines = 0
    for member in busy:
        member.hear = None
    busy[-1].hear = lambda line: _note_heard(line, heard)
    others = crowd.members[room:] or busy
    used = cpu_seconds(server.pid)
    began = time.perf_counter()
    said = asked = 0
    while (now := time.perf_counter() - began) < seconds:
        while said < now * rate:
            busy[said % (room - 1)].say(f"PRIVMSG #r0 :{time.perf_counter()}")
            said += 1
        while asked < now * 100:
            random.choice(others).say(f"PING {time.perf_counter()}")
            asked += 1
        crowd.read(0.001)
    crowd.wait(lambda: len(pongs) == asked, "some were not answered")
    crowd.wait(lambda: sum(each.lines for each in busy) == said * (room - 1), "some were not heard")
    if len(heard) != said:
        raise Failed(f"{said} were said, and {len(heard)} were heard")
    return {
        "messages said": said,
        "messages heard": said * (room - 1),
        "pings": asked,
        "server's core": (cpu_seconds(server.pid) - used) / (time.perf_counter() - began),
        **{f"ms for {part} % of pings": _within(pongs, part) for part in (50, 99, 100)},
        **{f"ms until {part} % were heard": _within(heard, part) for part in (50, 99, 100)},
    }


def _within(times, part):
    """Milliseconds within which so many per cent of the times are."""
    return sorted(times)[min(len(times) - 1, len(times) * part // 100)] * 1000


def _note_pong(line, pongs):
    if b" PONG " in line:
        pongs.append(time.perf_counter() - float(line.rpartition(b":")[2]))


def _note_heard(line, heard):
    heard.append(time.perf_counter() - float(line.rpartition(b":")[2]))
