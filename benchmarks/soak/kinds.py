"""Who there is. Each kind is a function that makes one visit, and returns how many answers it got.

``open_()`` gives a connection, under TLS at the server that speaks it; ``raw()`` one on which
nobody has said anything yet.
"""

import os
import random
from dataclasses import dataclass

import gevent

from .dealings import question, read_answer, reset, until_the_end

ANSWERS = 5
SMALL, LARGE, HUGE = 1000, 400_000, 16_000_000
# Seconds; those who are slow but mean well stay far below the servers' limits.
DRIP = 0.01
NAP = 0.02
HOLD = 0.2
FLOOD = 150


def good(open_, raw):
    """Asks and reads, a few times."""
    with open_() as sock:
        for number in range(ANSWERS):
            asked = question(random.choice([1, SMALL, LARGE]))
            _say(sock, asked)
            read_answer(sock, asked, is_first=not number)
    return ANSWERS


def slow_writer(open_, raw):
    """Asks byte by byte."""
    with open_() as sock:
        asked = question(SMALL)
        for byte in asked:
            _say(sock, bytes([byte]))
            gevent.sleep(DRIP)
        read_answer(sock, asked, is_first=True)
    return 1


def slow_reader(open_, raw):
    """Reads in small pieces."""
    with open_() as sock:
        asked = question(LARGE)
        _say(sock, asked)
        read_answer(sock, asked, is_first=True, at_once=16384, pause=lambda: gevent.sleep(NAP))
    return 1


def dripping(open_, raw):
    """Never comes to the end of its line."""
    with open_() as sock:
        try:
            while True:
                sock.sendall(b"1")
                gevent.sleep(HOLD)
        except OSError:
            return 0


def stuck_reader(open_, raw):
    """Asks for much and reads nothing until it is cut."""
    with open_() as sock:
        _say(sock, question(HUGE))
        gevent.sleep(1.5)
        until_the_end(sock)
    return 0


def reset_in_request(open_, raw):
    """Breaks off in mid-question."""
    sock = open_()
    _say(sock, b"1000 abc")
    gevent.sleep(random.choice([0, DRIP]))
    reset(sock)
    return 0


def reset_in_response(open_, raw):
    """Breaks off in mid-answer."""
    sock = open_()
    try:
        sock.sendall(question(HUGE))
        sock.recv(10_000)
    except OSError:
        pass  # turned away
    reset(sock)
    return 0


def silent(open_, raw):
    """Connects, and that is all."""
    with raw() as sock:
        until_the_end(sock)
    return 0


def idle(open_, raw):
    """Has its answer, and then nothing more to ask."""
    with open_() as sock:
        asked = question(SMALL)
        _say(sock, asked)
        read_answer(sock, asked, is_first=True)
        until_the_end(sock)
    return 1


def half_closed(open_, raw):
    """Ends its side, before or in mid-question."""
    with raw() as sock:
        _say(sock, random.choice([b"", b"7 x"]))
        try:
            sock.shutdown(gevent.socket.SHUT_WR)
        except OSError:
            pass  # turned away
        until_the_end(sock)
    return 0


def garbage(open_, raw):
    """Says what means nothing, at least under TLS: a question in plain text, or noise."""
    with raw() as sock:
        noise = b"\x16\x03\x01" + os.urandom(200)
        _say(sock, random.choice([b"GET / HTTP/1.0\r\n\r\n", os.urandom(300), noise]))
        until_the_end(sock)
    return 0


def flood(open_, raw):
    """Very many at once, most of which say nothing, some go at once and some break off."""

    def one(number):
        with raw(number) as sock:
            if number % 3:
                gevent.sleep(HOLD)
            if number % 5 == 0:
                reset(sock)

    gevent.joinall([gevent.spawn(one, number) for number in range(FLOOD)])
    gevent.sleep(random.uniform(0.5, 1.5))
    return 0


def _say(sock, data):
    try:
        sock.sendall(data)
    except OSError:
        pass  # turned away, as the first read tells


@dataclass(frozen=True)
class Kind:
    """So many at a time; each kind has a host, or ``hosts`` of them, of its own.

    ``means_well``: every visit is to end with all its answers, or to be turned away at once.
    """

    visit: object
    at_a_time: int
    means_well: bool = False
    hosts: int = 1
    is_for_tls: bool = True
    is_for_plain: bool = True


KINDS = (
    Kind(good, 8, means_well=True),
    Kind(slow_writer, 4, means_well=True),
    Kind(slow_reader, 2, means_well=True),
    Kind(idle, 2, means_well=True),
    Kind(dripping, 1),
    Kind(stuck_reader, 2),
    Kind(reset_in_request, 2),
    Kind(reset_in_response, 2),
    Kind(silent, 4),
    Kind(half_closed, 2),
    Kind(garbage, 4, is_for_plain=False),
    Kind(flood, 1, hosts=12),
    Kind(flood, 1, hosts=1),
)
