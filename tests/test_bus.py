"""Messages within a process: between greenlets, hubs and threads."""

import os
import queue
import random
from collections import Counter
from contextlib import suppress

import gevent
import pytest

import greensock
from greensock.bus import LocalBus, open_bus
from greensock.bus.courses import NEVER, Course
from greensock.bus.resp import ERROR, PUSH, REPLY, Parser
from greensock.errors import BusClosed
from greensock.interfaces import IBusOverflowed
from greensock.net import native
from greensock.net.children import Child
from greensock.testing import check_bus
from greensock.toolbox import between_threads
from tests.helpers import (
    LOCAL,
    MODELS,
    PATIENCE,
    Call,
    ask,
    connect,
    every_model,
    forks_beside_threads,
    rest,
    served,
    subscribed,
)
from tests.test_crossing import KINDS, PAIRS, end, start


@pytest.fixture
def bus():
    with LocalBus() as bus:
        yield bus


def drain(subscription):
    """What it holds."""
    messages = []
    while True:
        try:
            messages.append(subscription.get(0))
        except queue.Empty:
            return messages


def test_local_bus_keeps_its_contract():
    check_bus(LocalBus)


@pytest.mark.parametrize(("publishers", "subscribers"), PAIRS)
def test_all_subscribers_get_everything_in_the_same_order(bus, publishers, subscribers):
    """Between any two kinds, whoever has to wait."""
    subscriptions = [bus.subscribe("news") for _ in range(2)]
    waiting = iter(subscriptions)

    def publish():
        for _ in range(30):
            bus.publish("news", b"hello")

    def read():
        subscription = next(waiting)
        return tuple(subscription.get(PATIENCE) for _ in range(60))

    reading = start(subscribers, read, times=2)
    end(start(publishers, publish, times=2))
    one, other = end(reading)
    assert one == other
    assert [*range(1, 61)] == [message.number for message in one]


@pytest.mark.parametrize("kind", KINDS)
def test_readers_of_one_subscription_share_its_messages(bus, kind):
    subscription = bus.subscribe("news")

    def read():
        return tuple(message.number for message in subscription)

    reading = start(kind, read, times=3)
    for _ in range(50):
        bus.publish("news", b"hello")
    subscription.close()
    assert list(range(1, 51)) == sorted(number for numbers in end(reading) for number in numbers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["subscription", "bus"])
def test_close_wakes_all_who_wait(bus, kind, what):
    subscription = bus.subscribe("news")
    waiting = queue.SimpleQueue()

    def read():
        waiting.put(None)
        with pytest.raises(BusClosed):
            subscription.get()
        return subscription.reason

    reading = start(kind, read, times=2)
    while waiting.qsize() < 2:
        gevent.sleep(0.001)
    (subscription if what == "subscription" else bus).close()
    assert ["closed"] * 2 == end(reading)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_every_message_is_got_or_told_to_be_missed(bus, overflow):
    """Whatever the order in which messages of several topics come and are got."""
    chance = random.Random(5)
    published, known = Counter(), Counter()
    with bus.subscribe("a", "b", "c", maxsize=4, overflow=overflow) as subscription:

        def note(message):
            known[message.topic] += 1 + message.missed
            assert message.number == known[message.topic]

        for _ in range(500):
            if chance.random() < 0.7:
                topic = chance.choice("abc")
                published[topic] += 1
                bus.publish(topic, b"")
            else:
                with suppress(queue.Empty):
                    note(subscription.get(0))
        for topic in "abc":
            for message in drain(subscription):
                note(message)
            bus.publish(topic, b"")
            note(subscription.get(0))
    assert published + Counter("abc") == known
    assert subscription.dropped > 50


def test_overflow_is_told_of_once_until_there_is_room(bus):
    told = []
    with subscribed(IBusOverflowed, told.append):
        with bus.subscribe("news", maxsize=1) as subscription, bus.subscribe("news"):
            for _ in range(5):
                bus.publish("news", b"")
            assert [(bus, subscription)] == [(event.bus, event.subscription) for event in told]
            subscription.get()
            for _ in range(3):
                bus.publish("news", b"")
    assert 2 == len(told)
    assert 6 == subscription.dropped


def test_get_keeps_the_deadline_of_the_toolbox(bus):
    toolbox = between_threads()

    def wait():
        with bus.subscribe("news") as subscription, toolbox.deadline(0.01):
            subscription.get(PATIENCE)

    for kind in KINDS:
        with pytest.raises(TimeoutError):
            end(start(kind, wait))


def test_a_greenlet_that_is_killed_takes_no_message_along(bus):
    with bus.subscribe("news") as subscription:
        waiting = gevent.spawn(subscription.get)
        gevent.sleep(0)
        bus.publish("news", b"hello")
        waiting.kill()
        assert b"hello" == subscription.get(PATIENCE).data


def test_a_signal_handler_may_publish_while_it_interrupts_publishing(bus):
    """As the same thread does not wait for itself."""
    with bus.subscribe("news") as subscription:
        with bus._fanout._topics["news"].mutex, bus._fanout._mutex, subscription._changed:
            bus.publish("news", b"hello")
        assert b"hello" == subscription.get(0).data


@forks_beside_threads
def test_a_forked_child_has_a_bus_of_its_own(bus, mailbox):
    """Even if at that moment another thread held every lock there is."""
    subscription = bus.subscribe("news")
    held, forked = native.allocate_lock(), native.allocate_lock()
    held.acquire()
    forked.acquire()

    def hold():
        with bus._fanout._topics["news"].mutex, bus._fanout._mutex, subscription._changed:
            held.release()
            forked.acquire()

    def live():
        with pytest.raises(BusClosed):
            subscription.get(PATIENCE)
        with bus.subscribe("news") as own:
            bus.publish("news", b"from the child")
            mailbox.put(own.get(PATIENCE).data)
        return 0

    holding = Call("thread", hold)
    held.acquire()
    child = Child()
    child.fork(live)
    forked.release()
    holding.end()
    assert b"from the child" == mailbox.get()
    assert child.wait(PATIENCE)
    assert child.reap() in (0, None)
    bus.publish("news", b"from the parent")
    assert [b"from the parent"] == [message.data for message in drain(subscription)]


def test_open_bus_knows_the_local_one():
    for url in None, "local":
        with open_bus(url) as bus:
            assert isinstance(bus, LocalBus)
            assert "local" == bus.url


@pytest.mark.parametrize("url", ["", "Local", "http://localhost", "localhost:6379", b"local", 1])
def test_what_is_no_bus_is_refused(url):
    with pytest.raises(ValueError, match="is no bus; give 'local', 'redis://HOST:PORT/DB'"):
        open_bus(url)


def test_without_redis_py_it_says_what_to_install(without_redis_py):
    with pytest.raises(ImportError, match=r"pip install greensock\[redis\]") as caught:
        open_bus("redis://127.0.0.1")
    assert "redis" == caught.value.name.partition(".")[0]


# Servers


class Member(greensock.StreamRequestHandler):
    """Says in which process it is, and what comes under 'room'; publishes what its peer says."""

    def handle(self):
        with self.server.bus.subscribe("room") as room:
            self.wfile.write(b"%d\n" % os.getpid())
            task = self.toolbox.spawn(self.hear, room)
            for line in self.rfile:
                self.server.bus.publish("room", line)
            room.close()
            task.join(PATIENCE)

    def hear(self, room):
        for message in room:
            self.wfile.write(message.data)


@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_handlers_reach_the_bus_of_their_server(model):
    with served(greensock.server_class(model)(LOCAL, Member)) as server:
        with connect(server) as one, connect(server) as other:
            for client in one, other:
                assert b"%d\n" % os.getpid() == client.recv(100)
            one.sendall(b"hello\n")
            assert [b"hello\n"] * 2 == [one.recv(100), other.recv(100)]
            bus = server.bus
            assert "local" == bus.url
    with pytest.raises(BusClosed):
        bus.open()


class Publish(greensock.StreamRequestHandler):
    """Publishes, and says what it has subscribed to itself."""

    def handle(self):
        with self.server.bus.subscribe("room") as room:
            self.server.bus.publish("room", self.rfile.readline())
            self.wfile.write(room.get(PATIENCE).data)


@forks_beside_threads
@every_model
def test_every_model_has_a_bus(model):
    with served(greensock.server_class(model)(LOCAL, Publish)) as server:
        assert b"hello\n" == ask(server)


def test_bus_outlives_the_handlers_that_the_end_waits_for():
    class Last(greensock.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"ready\n")
            self.rfile.read()
            self.server.bus.publish("room", b"")
            self.wfile.write(b"published")

    server = greensock.GreenletTCPServer(LOCAL, Last)
    with served(server), connect(server) as client:
        assert b"ready\n" == client.recv(100)
        server.shutdown()
        closing = gevent.spawn(server.server_close)
        gevent.sleep(0.01)
        client.shutdown(1)
        assert b"published" == rest(client)
        closing.get()


def test_bus_is_set_in_the_class_or_on_the_server():
    class Mixed:
        bus = "redis://127.0.0.1:1/2"

    class Server(Mixed, greensock.GreenletTCPServer):
        pass

    with Server(LOCAL, Member) as server:
        assert "redis://127.0.0.1:1/2" == server.bus.url
        assert server.bus is server.bus
        server.bus = "local"
        assert "local" == server.bus.url
    with type("Local", (Server,), {"bus": None})(LOCAL, Member) as server:
        assert "local" == server.bus.url


def test_a_bus_of_the_applications_own_is_left_to_it(bus):
    with greensock.GreenletTCPServer(LOCAL, Member) as server:
        server.bus = bus
        assert bus is server.bus
    bus.open()

    class Server(greensock.GreenletTCPServer):
        def bus(self):
            return "number 9"

    with Server(LOCAL, Member) as server:
        assert "number 9" == server.bus()


@pytest.mark.parametrize("model", MODELS)
def test_a_wrong_bus_is_refused_before_anything_is_bound(model):
    cls = greensock.server_class(model)
    with pytest.raises(ValueError, match="^'nowhere' is no bus; give 'local'"):
        type("Server", (cls,), {"bus": "nowhere"})
    with cls(LOCAL, Member) as server:
        with pytest.raises(ValueError, match="^'nowhere' is no bus; give 'local'"):
            server.bus = "nowhere"
        assert "local" == server.bus.url

    def server_bind(self):
        pytest.fail("it was bound")

    wrong = {"bus": "redis://127.0.0.1/music", "server_bind": server_bind}
    with pytest.raises(ValueError, match="the database is 'music', and no number"):
        type("Server", (cls,), wrong)(LOCAL, Member)


# What is behind a bus of Redis, without Redis


def test_numbers_that_follow_each_other_miss_nothing():
    course = Course("news")
    assert not course.is_known
    assert 0 == course.look(NEVER, 0)
    assert [0, 0, 0] == [course.advance(b"e", number) for number in (1, 2, 3)]
    assert 3 == course.number


def test_a_first_look_misses_nothing():
    course = Course("news")
    assert 0 == course.look(b"e", 100)
    assert 0 == course.advance(b"e", 101)


@pytest.mark.parametrize(
    ("before", "after", "missed"),
    [
        ((b"e", 5), (b"e", 5), 0),
        ((b"e", 5), (b"e", 8), 3),
        ((NEVER, 0), (NEVER, 0), 0),
        ((NEVER, 0), (b"e", 4), 4),
        ((b"e", 5), (NEVER, 0), 1),  # Redis has forgotten, and nobody knows when
        ((b"e", 5), (b"f", 1), 1),
        ((b"e", 5), (b"f", 9), 9),
        ((b"e", 5), (b"e", 3), 3),  # it has remembered an older state
    ],
)
def test_what_was_missed_while_out_of_touch(before, after, missed):
    course = Course("news")
    course.look(*before)
    course.doubt()
    assert missed == course.look(*after)
    assert 0 == course.look(*after)


@pytest.mark.parametrize(
    ("before", "after", "missed"),
    [
        ((b"e", 5), (b"e", 6), 0),
        ((b"e", 5), (b"e", 9), 3),
        ((NEVER, 0), (b"e", 4), 3),
        ((b"e", 5), (b"f", 1), 1),
        ((b"e", 5), (b"f", 9), 8),
        ((b"e", 5), (b"e", 3), 2),
    ],
)
def test_what_was_missed_before_a_message_that_came_before_any_look(before, after, missed):
    course = Course("news")
    course.look(*before)
    course.doubt()
    assert missed == course.advance(*after)
    assert 0 == course.look(*after)


def test_a_topic_that_redis_has_forgotten_in_peace_misses_nothing():
    course = Course("news")
    course.look(b"e", 5)
    assert 0 == course.advance(b"f", 1)
    assert 0 == course.advance(b"f", 2)


SAID = [
    (b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$7\r\n\r\n$1\r\nx\r\n", PUSH),
    (b"*3\r\n$0\r\n\r\n:42\r\n*-1\r\n", REPLY),
    (b"+PONG\r\n", REPLY),
    (b"-ERR no\r\n", ERROR),
    (b"_\r\n", REPLY),
    (b"$-1\r\n", REPLY),
    (b"%1\r\n+a\r\n#t\r\n", REPLY),
]
MEANT = [
    [b"message", b"news", b"\r\n$1\r\nx"],
    [b"", 42, None],
    "PONG",
    "ERR no",
    None,
    None,
    ["a", "t"],
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_parser_understands_redis_wherever_its_words_are_cut(size):
    said = b"".join(words for words, _ in SAID)
    parser, found = Parser(), []
    for at in range(0, len(said), size):
        found += parser.feed(said[at:at + size])
    assert [(kind, value) for (_, kind), value in zip(SAID, MEANT)] == found


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n", b"x", b"$" + b"1" * 70_000])
def test_parser_knows_what_is_no_redis(words):
    with pytest.raises(ValueError, match="this is no Redis: it says"):
        Parser().feed(words)
