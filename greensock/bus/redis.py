"""A bus through Redis, which reaches other processes and machines.

Theory of operation. A script counts each message and publishes it, in one round trip: so all who
publish share the numbers, and all who subscribe see each of them once. A message travels as
``EPOCH:NUMBER:DATA``; see courses.py for the epoch. What comes to the process comes on one
connection, which reader.py has, and is fanned out here as a local bus does.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import BusClosed
from ..net import native
from ..net.hubs import in_hub
from .base import BaseBus, checked_data, checked_topic
from .places import NoScriptError, Place
from .pool import Pool
from .reader import Reader

# Seconds after which Redis forgets the numbers of a topic that nobody publishes under.
REMEMBERED = 24 * 3600

# Seconds that the end waits for the thread of the reader, which may be about to connect.
PATIENCE = 1.0

# KEYS: the channel, which is also the name of the counter. ARGV: an epoch, if there is none yet;
# the data; how long to remember.
PUBLISH = """
local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
local epoch
if number == 1 then
    epoch = ARGV[1]
    redis.call('HSET', KEYS[1], 'epoch', epoch)
else
    epoch = redis.call('HGET', KEYS[1], 'epoch')
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', KEYS[1], epoch .. ':' .. number .. ':' .. ARGV[2])
return number
"""
_DIGEST = hashlib.sha1(PUBLISH.encode()).hexdigest()


class RedisBus(BaseBus):
    """Carries messages to all processes that have a bus at the same database; see IBus.

    ``url``: as for ``open_bus``, with what redis-py takes after a ``?``, such as
    ``ssl_ca_certs=FILE``. ``max_connections`` (10) is how many there may be to publish through, and
    who finds none free waits ``timeout`` (5) seconds for one. ``socket_timeout`` (5) is how long
    Redis may take to answer, in seconds. One more connection, and a thread, are for what comes.

    Nothing is opened before the first use. ValueError if there can be no such bus; ImportError
    without redis-py.
    """

    def __init__(self, url: str) -> None:
        self._place = Place(url)
        self.url = self._place.shown
        self._prefix = b"greensock:%d:" % self._place.db
        self._mutex = native.make_rlock()
        self._pool = Pool(self._place)
        self._reader: Reader | None = None
        super().__init__()

    def open(self) -> None:
        """See that Redis lets it in; see IBus."""
        with self._connection() as connection:
            _ask(connection, "PING")

    def publish(self, topic: str, data: Any) -> None:
        """Give ``data`` to all who have subscribed to ``topic``, wherever; see IBus."""
        channel = self.channel_of(checked_topic(topic))
        args = 1, channel, os.urandom(6).hex(), checked_data(data), REMEMBERED
        with self._connection() as connection:
            try:
                _ask(connection, "EVALSHA", _DIGEST, *args)
            except NoScriptError:  # it has been told of it never, or in an earlier life
                _ask(connection, "EVAL", PUBLISH, *args)

    def close(self) -> None:
        """End it, and all its subscriptions."""
        super().close()
        self._pool.close()
        with self._mutex:
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.close(0.0 if in_hub() else PATIENCE)

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        with self._place.clear_errors(), self._pool.connection() as connection:
            yield connection

    def _follow(self, topics: list[str]) -> None:
        if not topics:
            return
        with self._mutex:
            if self._fanout.is_closed:
                raise BusClosed("the bus was closed")
            reader = self._reader
            if reader is None:
                reader = Reader(self, self._place)
                reader.start()
                self._reader = reader
        reader.follow(topics)

    def _forget(self, topics: list[str]) -> None:
        reader = self._reader
        if reader is not None:
            reader.forget(topics)

    def _begin_anew(self) -> None:
        super()._begin_anew()
        self._mutex = native.make_rlock()
        self._pool.abandon()
        self._pool = Pool(self._place)
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.abandon()

    # For the reader

    def channel_of(self, topic: str) -> bytes:
        """Under which name Redis has a topic. It has no databases as far as channels go."""
        return self._prefix + topic.encode()

    def wants(self, topic: str) -> bool:
        """Whether anybody here has subscribed to it."""
        return self._fanout.wants(topic)

    def deliver(self, topic: str, data: bytes, number: int) -> None:
        """Give a message that has come to all who want it."""
        self._deliver(topic, data, number)

    def note_missed(self, topic: str, count: int) -> None:
        """So many of a topic will never come."""
        self._fanout.note_missed(topic, count)


def _ask(connection: Any, *command: Any) -> None:
    connection.send_command(*command)
    connection.read_response()
