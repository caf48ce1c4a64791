"""What is said at one server of a network and heard at another one: all of it, and once."""

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager

from ..processes import Failed
from .members import Crowd

# So many messages are on their way at a time: fewer than a reader may fall behind by.
WINDOW = 2000

# Seconds for two halves of a network to notice that, and to meet again.
REUNION = 60


class Redis:
    """One that keeps nothing, on a socket in ``folder``."""

    def __init__(self, folder):
        program = shutil.which("redis-server")
        if program is None:
            raise Failed("there is no redis-server here: apt-get install redis-server")
        path = f"{folder}/redis"
        self.url = f"unix://{path}"
        self._path = path
        place = "--port", "0", "--unixsocket", path, "--dir", folder
        self._command = [program, *place, "--save", ""]
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        ends = time.monotonic() + 30
        while not os.path.exists(self._path):
            if time.monotonic() > ends:
                raise Failed("Redis does not start")
            time.sleep(0.01)

    def kill(self):
        self._process.kill()
        self._process.wait()
        if os.path.exists(self._path):
            os.unlink(self._path)

    def restart(self):
        self.kill()
        self.start()


@contextmanager
def redis():
    with tempfile.TemporaryDirectory() as folder:
        server = Redis(folder)
        try:
            yield server
        finally:
            server.kill()


class Ear:
    """What a member hears: which numbers were said, and how often others were split off."""

    def __init__(self, member):
        self.member = member
        self.numbers = []
        self.splits = 0
        member.hear = self.hear

    def hear(self, line):
        word = line.split(b" ", 3)
        if word[1] == b"PRIVMSG":
            self.numbers.append(int(word[3][1:]))
        elif word[1] == b"QUIT" and b":irc-" in line:
            self.splits += 1


def measure(port, count, listeners, redis, outage):
    """Have ``count`` messages said at one worker, and heard by listeners at the other.

    Then ``redis`` is killed and started again while more is said; in the end after ``outage``
    seconds.
    """
    with Crowd() as crowd:
        speaker, ears = _on_both(crowd, port, listeners)
        began = time.perf_counter()
        said = _say(crowd, speaker, ears, range(count))
        seconds = time.perf_counter() - began
        told = {"messages said": said, "seconds": seconds, "listeners": listeners}
        told["lost"] = sum(len(set(range(count)) - set(ear.numbers)) for ear in ears)
        told["doubled"] = sum(len(ear.numbers) - len(set(ear.numbers)) for ear in ears)
        told["in order"] = all(ear.numbers == sorted(ear.numbers) for ear in ears)
        told["splits seen"] = sum(ear.splits for ear in ears)
        return {**told, **_survive(crowd, speaker, ears, count, redis, outage)}


def _on_both(crowd, port, listeners):
    """A speaker at one worker, and listeners at the other one."""
    speaker = crowd.enter(port, "speaker", "#x")
    crowd.wait(lambda: speaker.is_in, "the speaker is not in")
    ears = []
    for number in range(1000):
        member = crowd.enter(port, f"ear{number}", "#x")
        crowd.wait(lambda: member.is_in, "a listener is not in")  # noqa: B023
        if member.server == speaker.server:
            crowd.remove(member)
        else:
            ears.append(Ear(member))
        if len(ears) == listeners:
            return speaker, ears
    raise Failed("all connections came to one worker")


def _say(crowd, speaker, ears, numbers):
    for number in numbers:
        speaker.say(f"PRIVMSG #x :{number}")
        if number % 100 == 0:
            _await(crowd, ears, number - WINDOW)
    _await(crowd, ears, numbers[-1])
    return len(numbers)


def _await(crowd, ears, number):
    """Until all have heard so far, or further."""
    crowd.wait(lambda: min(_last(ear) for ear in ears) >= number, f"{number} was not heard by all")


def _last(ear):
    return ear.numbers[-1] if ear.numbers else -1


def _survive(crowd, speaker, ears, first, redis, outage):
    """Somebody speaks all the time while Redis goes and comes back, twice at once and once late."""
    back = 1.5 + outage
    steps = [(0.5, redis.restart), (1.0, redis.restart), (1.5, redis.kill), (back, redis.start)]
    number, began, last = first, time.monotonic(), None
    while last is None or min(_last(ear) for ear in ears) < last:
        if time.monotonic() > began + back + REUNION:
            raise Failed(f"the halves of the network did not meet again within {REUNION} s")
        speaker.say(f"PRIVMSG #x :{number}")
        number += 1
        crowd.read(0.002)
        if steps and time.monotonic() > began + steps[0][0]:
            steps.pop(0)[1]()
            last = None if steps else number
    _await(crowd, ears, number - 1)
    missing = [len(set(range(first, number)) - set(ear.numbers)) for ear in ears]
    return {
        "messages said around restarts": number - first,
        "not heard then": sum(missing),
        "doubled then": sum(len(ear.numbers) - len(set(ear.numbers)) for ear in ears),
        "splits seen then": sum(ear.splits for ear in ears),
        "losses without a split": sum(bool(lost) > ear.splits for ear, lost in zip(ears, missing)),
    }
