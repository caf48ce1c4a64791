"""What every process of a supervisor does on its hub: it beats, hears, and leaves signals to it."""

import signal

import gevent

from .orders import SIGNALS, ignore

BEATS = 4  # in a worker_timeout
LEISURELY = 1.0  # seconds between beats, at most


def begin(limit, beat, line, hear, **meanings):
    """Have ``beat()`` called several times in ``limit`` seconds, and ``hear()`` at every word.

    ``meanings``: functions by the names of the signals that mean something to this process. The
    watcher of ``line`` is returned.
    """
    loop = gevent.get_hub().loop
    pause = LEISURELY if limit is None else min(LEISURELY, limit / BEATS)
    loop.timer(pause, pause).start(beat)
    words = loop.io(line.fileno(), 1)
    words.start(hear)
    for number in SIGNALS:
        # A terminal, or systemd, sends them to everybody; the supervisor says what they mean.
        act = meanings.get(number.name, ignore)
        signal.signal(number, lambda *_, act=act: act())
    return words
