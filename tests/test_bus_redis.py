"""Messages between processes, through a real Redis, which dies and comes back."""

import gc
import queue
import socket
import threading
from contextlib import contextmanager

import gevent
import pytest

import greensock
from greensock.bus import open_bus, reader
from greensock.bus.courses import Course
from greensock.bus.places import Place
from greensock.bus.redis import PUBLISH, RedisBus
from greensock.errors import BusClosed, BusError
from greensock.interfaces import IBusEvent, IBusLost, IBusRestored, IWorkerStarted
from greensock.net import native
from greensock.net.children import Child
from greensock.testing import check_bus
from greensock.toolbox import between_threads
from tests import tls
from tests.helpers import (
    LOCAL,
    PATIENCE,
    Call,
    connect,
    descriptors,
    forks_beside_threads,
    needs_redis,
    recorded,
    served,
    subscribed,
    wait_until,
)
from tests.redis_server import publishers, running
from tests.teams import new_server
from tests.test_bus import Member
from tests.test_crossing import KINDS, PAIRS, end, start

pytestmark = [needs_redis, forks_beside_threads]


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    with running(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def redis(lasting):
    """Empty, as far as databases go."""
    lasting.tell("FLUSHALL")
    return lasting


@pytest.fixture
def bus(redis):
    with open_bus(redis.url) as bus:
        yield bus


@contextmanager
def told():
    """The events of buses meanwhile."""
    record = []
    with subscribed(IBusEvent, record.append):
        yield record


def of(record, interface):
    return [event for event in record if interface.providedBy(event)]


def numbers(messages):
    return [(message.number, message.missed) for message in messages]


def take(subscription, count):
    return [subscription.get(PATIENCE) for _ in range(count)]


def test_bus_of_redis_keeps_its_contract(redis):
    check_bus(lambda: RedisBus(redis.url))


@pytest.mark.parametrize(("publishers", "subscribers"), PAIRS)
def test_it_serves_whoever_uses_it(bus, publishers, subscribers):
    """Threads without a hub, and greenlets of several hubs, with the same connections."""
    subscriptions = iter([bus.subscribe("news"), bus.subscribe("news")])

    def publish():
        for _ in range(5):
            bus.publish("news", b"hello")

    def read():
        return tuple(numbers(take(next(subscriptions), 20)))

    reading = start(subscribers, read, times=2)
    end(start(publishers, publish, times=2) + start("greenlet", publish, times=2))
    assert [tuple((number, 0) for number in range(1, 21))] * 2 == end(reading)


@pytest.mark.parametrize("kind", KINDS)
def test_anybody_may_be_the_first_to_subscribe(redis, kind):
    def subscribe():
        with open_bus(redis.url) as bus, bus.subscribe("news") as subscription:
            bus.publish("news", b"hello")
            return subscription.get(PATIENCE).data

    assert [b"hello"] == end(start(kind, subscribe))


def test_a_greenlet_that_waits_for_redis_keeps_no_other_waiting(redis, bus):
    """In a plain process, too."""
    turns = []
    with redis.stopped():
        publishing = gevent.spawn(bus.publish, "news", b"hello")
        for turn in range(10):
            gevent.sleep(0.001)
            turns.append(turn)
        assert not publishing.dead
    publishing.get()
    assert 10 == len(turns)


def test_a_deadline_of_the_toolbox_ends_the_wait_for_redis(redis, bus):
    toolbox = between_threads()

    def publish():
        with toolbox.deadline(0.02):
            bus.publish("news", b"hello")

    for kind in KINDS:
        with redis.stopped(), pytest.raises(TimeoutError):
            end(start(kind, publish))
    bus.publish("news", b"hello")


def test_redis_that_does_not_answer_is_an_error(redis):
    with redis.stopped(), RedisBus(redis.url + "?socket_timeout=0.02") as bus:
        with pytest.raises(BusError, match="Redis at unix:.* cannot be used: Timeout"):
            bus.publish("news", b"hello")


def test_many_publishers_share_few_connections(redis):
    with RedisBus(redis.url + "?max_connections=2") as bus:

        def publish():
            for _ in range(5):
                bus.publish("news", b"hello")

        with bus.subscribe("news") as subscription:
            publishing = [call for kind in KINDS for call in start(kind, publish, times=8)]
            end(publishing)
            assert [(number, 0) for number in range(1, 121)] == numbers(take(subscription, 120))
        # One more is the reader's, and one asks.
        assert redis.tell("CLIENT LIST").count("lib-name=redis-py") <= 3


def test_who_finds_no_connection_free_in_time_is_told(redis):
    with RedisBus(redis.url + "?max_connections=1&timeout=0.02") as bus:
        bus.open()
        with redis.stopped():
            first = gevent.spawn(bus.publish, "news", b"hello")
            gevent.sleep(0)
            with pytest.raises(BusError, match="none of 1 connections to .* came free within 0.02"):
                bus.publish("news", b"hello")
        first.get()


def test_idle_connections_that_redis_has_closed_are_made_anew(redis, bus):
    bus.publish("news", b"hello")
    redis.tell("CLIENT KILL TYPE normal SKIPME yes")
    bus.publish("news", b"hello")


def test_messages_of_a_lost_connection_are_told_to_be_missed(redis, bus):
    """And that at once: nobody has to publish any more."""
    with told() as record, bus.subscribe("news", "quiet") as subscription:
        bus.publish("news", b"1")
        assert [(1, 0)] == numbers(take(subscription, 1))
        channel = bus.channel_of("news").decode()
        script = " ".join(PUBLISH.split()).replace('"', '\\"')
        publish = f'EVAL "{script}" 1 {channel} other hello 100'
        # All in one, so that the bus cannot be back in between.
        redis.tell("MULTI", "CLIENT KILL TYPE pubsub", publish, publish, publish, "EXEC")
        wait_until(lambda: of(record, IBusRestored))
        [restored] = of(record, IBusRestored)
        assert {"news": 3} == restored.missed
        assert 0 <= restored.seconds < PATIENCE
        bus.publish("news", b"5")
        bus.publish("news", b"6")
        assert [(5, 3), (6, 0)] == numbers(take(subscription, 2))
        bus.publish("quiet", b"")
        assert [(1, 0)] == numbers(take(subscription, 1))
    assert ["BusLost", "BusRestored"] == [type(event).__name__ for event in record]
    assert {bus} == {event.bus for event in record}


def test_redis_comes_back_with_nothing_in_its_memory(tmp_path):
    """Nothing is doubled, and the gap is told although numbers begin anew."""
    topics = [f"topic {number}" for number in range(600)]  # more than go in one command
    with running(tmp_path) as redis, open_bus(redis.url) as bus, told() as record:
        with bus.subscribe(*topics) as subscription, bus.subscribe(topics[0]) as other:
            for topic in topics[:2]:
                bus.publish(topic, b"before")
            assert [(1, 0)] * 2 == numbers(take(subscription, 2))
            redis.kill()
            wait_until(lambda: of(record, IBusLost))
            with pytest.raises(BusError, match="Redis at unix:.* cannot be used: "):
                bus.publish(topics[0], b"into nowhere")
            redis.start()
            wait_until(lambda: of(record, IBusRestored))
            assert {topics[0]: 1, topics[1]: 1} == of(record, IBusRestored)[0].missed
            for topic in topics[0], topics[599], topics[0]:
                bus.publish(topic, b"after")
            assert [(1, 1), (1, 0), (2, 0)] == numbers(take(subscription, 3))
            assert [(1, 0), (1, 1), (2, 0)] == numbers(take(other, 3))
            with pytest.raises(queue.Empty):
                subscription.get(0)
    assert ["BusLost", "BusRestored"] == [type(event).__name__ for event in record]


def test_subscribing_while_redis_is_away_fails_and_leaves_nothing_behind(tmp_path):
    with running(tmp_path) as redis, open_bus(redis.url + "?timeout=1") as bus:
        with bus.subscribe("news") as subscription, told() as record:
            redis.kill()
            wait_until(lambda: of(record, IBusLost))
            with pytest.raises(BusError, match="cannot subscribe to 'more': Redis at unix"):
                bus.subscribe("more")
            with pytest.raises(BusError, match="cannot subscribe to 'more': Redis at unix"):
                subscription.add("more")
            assert ("news",) == subscription.topics
            redis.start()
            wait_until(lambda: of(record, IBusRestored))
            bus.publish("news", b"hello")
            assert b"hello" == subscription.get(PATIENCE).data
            assert "more" not in redis.tell("PUBSUB CHANNELS")


def test_a_silent_redis_is_noticed(redis, monkeypatch):
    monkeypatch.setattr(reader, "QUIET", 0.02)
    with open_bus(redis.url) as bus, bus.subscribe("news"), told() as record:
        gevent.sleep(0.1)  # some pings later
        assert [] == record
        with redis.stopped():
            wait_until(lambda: record)
        wait_until(lambda: of(record, IBusRestored))
    assert "Redis has not answered for 0.02 s" in str(record[0].error)


def test_topics_nobody_wants_any_more_do_not_come(redis, bus):
    channels = [bus.channel_of(topic).decode() for topic in ("one", "other")]

    def are_followed():
        return [channel in redis.tell("PUBSUB CHANNELS") for channel in channels]

    with bus.subscribe("one") as one:
        with bus.subscribe("one", "other"):
            assert [True, True] == are_followed()
        wait_until(lambda: [True, False] == are_followed())
        with bus.subscribe("other") as other:
            bus.publish("other", b"again")
            assert [b"again"] == [message.data for message in take(other, 1)]
        bus.publish("one", b"still")
        assert b"still" == one.get(PATIENCE).data


def test_what_strangers_publish_is_ignored(redis, bus):
    with bus.subscribe("news") as subscription:
        redis.tell(f"PUBLISH {bus.channel_of('news').decode()} hello")
        bus.publish("news", b"hello")
        assert [(1, 0)] == numbers(take(subscription, 1))


def test_what_was_published_before_its_subscriber_came_is_no_gap():
    """It may come before Redis has said how many there were."""

    class Bus:
        deliver = note_missed = lambda *args: pytest.fail(f"{args} is nobody's")

    unstarted = reader.Reader(Bus(), Place("redis://127.0.0.1"))
    unstarted._by_channel[b"news"] = course = Course("news")
    unstarted._receive(b"news", b"epoch:5:hello")
    assert not course.is_known
    unstarted.abandon()


def test_databases_are_apart(redis, bus):
    with open_bus(redis.url + "?db=3") as third:
        with bus.subscribe("news") as here, third.subscribe("news") as there:
            third.publish("news", b"third")
            bus.publish("news", b"first")
            assert b"first" == here.get(PATIENCE).data
            assert b"third" == there.get(PATIENCE).data


def test_close_leaves_nothing_behind(redis):
    gc.collect()
    before, threads = descriptors(), threading.active_count()
    for _ in range(3):
        with open_bus(redis.url) as bus, bus.subscribe("news"):
            bus.publish("news", b"hello")
    wait_until(lambda: before >= descriptors() and threads == threading.active_count())
    with pytest.raises(BusClosed):
        bus.publish("news", b"hello")


# Who is let in


def test_a_password_is_needed_and_checked(tmp_path):
    with running(tmp_path, "--requirepass", "secret") as redis:
        path = redis.path
        with pytest.raises(BusError) as caught:
            open_bus(redis.url)
        assert str(caught.value) == (
            f"Redis at unix://{path} wants a password: put it into the URL, as in "
            "'redis://:PASSWORD@HOST:PORT/DB'"
        )
        with pytest.raises(BusError, match="refuses the password") as caught:
            open_bus(f"unix://:wrong@{path}")
        assert "wrong" not in str(caught.value)
        with open_bus(f"unix://:secret@{path}") as bus, bus.subscribe("news") as subscription:
            assert f"unix://{path}" == bus.url
            bus.publish("news", b"hello")
            assert b"hello" == subscription.get(PATIENCE).data


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://:secret@127.0.0.1:port", "Port could not be cast to integer value as 'port'"),
        ("redis://:secret@127.0.0.1/music", "the database is 'music', and no number"),
        ("redis://:secret@127.0.0.1?colour=red", "unexpected keyword argument 'colour'"),
        ("redis://:secret@127.0.0.1?socket_timeout=long", "socket_timeout"),
        ("redis://:secret@127.0.0.1?max_connections=0", "max_connections is 1 or more"),
        ("redis://:secret@127.0.0.1?timeout=0", "timeout seconds above 0"),
        ("rediss://:secret@127.0.0.1?ssl_cert_reqs=perhaps", "Requirements Flag: perhaps"),
        ("rediss://:secret@127.0.0.1?ssl_validate_ocsp=yes", "OCSP is not looked at here"),
        ("unix://", "it has no path"),
    ],
)
def test_a_wrong_url_is_one_clear_error(url, why):
    with pytest.raises(ValueError) as caught:
        open_bus(url)
    message = str(caught.value)
    assert f"{Place.__module__}" not in message and "secret" not in message
    assert "is no bus: " in message and why in message
    assert message.endswith("'rediss://HOST:PORT/DB' for TLS, or 'unix:///PATH'")


def test_nobody_there_is_one_clear_error(tmp_path):
    with socket.create_server(LOCAL) as listener:
        port = listener.getsockname()[1]
    for url in f"redis://127.0.0.1:{port}", f"unix://{tmp_path}/nobody":
        with pytest.raises(BusError, match=f"Redis at {url} cannot be used: "):
            open_bus(url)


def test_somebody_else_there_is_one_clear_error():
    with native.Socket() as listener:
        listener.bind(LOCAL)
        listener.listen()

        def answer():
            with listener.accept()[0] as sock:
                sock.recv(100)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        answering = Call("thread", answer)
        port = listener.getsockname()[1]
        with pytest.raises(BusError, match=f"Redis at redis://127.0.0.1:{port} cannot be used: "):
            open_bus(f"redis://127.0.0.1:{port}")
        answering.end()


def test_tcp_and_tls(tmp_path):
    pem = tmp_path / "pem"
    pem.write_text(tls.CERTIFICATE)
    with socket.create_server(LOCAL) as one, socket.create_server(LOCAL) as other:
        plain, secure = one.getsockname()[1], other.getsockname()[1]
    options = ["--port", plain, "--tls-port", secure, "--tls-auth-clients", "no"]
    options += ["--tls-cert-file", pem, "--tls-key-file", pem, "--tls-ca-cert-file", pem]
    with running(tmp_path, *map(str, options)):
        with pytest.raises(BusError, match="certificate verify failed"):
            open_bus(f"rediss://localhost:{secure}")
        url = f"rediss://localhost:{secure}?ssl_ca_certs={pem}"
        with open_bus(f"redis://127.0.0.1:{plain}") as near, open_bus(url) as far:
            for publisher, subscriber in (near, far), (far, near):
                for kind in KINDS:
                    with subscriber.subscribe("news") as subscription:
                        end(start(kind, lambda bus=publisher: bus.publish("news", bytes(300_000))))
                        assert bytes(300_000) == subscription.get(PATIENCE).data


# Processes


def test_a_forked_child_has_connections_of_its_own(redis, bus, mailbox):
    subscription, other = bus.subscribe("news"), bus.subscribe("news")
    bus.publish("news", b"before")
    take(other, 1)  # so that the first one holds it, too

    def live():
        with pytest.raises(BusClosed):
            subscription.get(PATIENCE)
        with bus.subscribe("news") as own:
            bus.publish("news", b"from the child")
            mailbox.put(numbers(take(own, 1)))
        bus.close()
        return 0

    child = Child()
    child.fork(live)
    assert [(2, 0)] == mailbox.get()
    assert child.wait(PATIENCE)
    child.reap()
    bus.publish("news", b"after")
    assert [(1, 0), (2, 0), (3, 0)] == numbers(take(subscription, 3))


def test_messages_between_processes_are_neither_lost_nor_doubled(redis, bus):
    with bus.subscribe("news") as subscription:
        with publishers(redis.url, "news", 2, 1000):
            messages = take(subscription, 2000)
    assert [(number, 0) for number in range(1, 2001)] == numbers(messages)
    assert 2000 == len({message.data for message in messages})


@pytest.mark.parametrize("share", ["listener", "balance"])
def test_members_of_two_workers_share_a_room(redis, share):
    server = new_server(Member, share=share, bus=redis.url)
    clients = {}

    def join():
        client = connect(server)
        clients.setdefault(client.recv(100), []).append(client)
        return len(clients) == 2

    with recorded(IWorkerStarted) as record, served(server):
        wait_until(lambda: len(record) == 2)
        wait_until(join)
        for room in clients.values():
            room[0].sendall(b"hello\n")
            for member in sum(clients.values(), []):
                assert b"hello\n" == member.recv(100)
        for member in sum(clients.values(), []):
            member.close()


def test_a_server_does_not_serve_without_its_bus(tmp_path):
    with greensock.GreenletTCPServer(LOCAL, Member) as server:
        server.bus = f"unix://{tmp_path}/nobody"
        with pytest.raises(BusError, match="Redis at unix://.*/nobody cannot be used: "):
            server.serve_forever()
