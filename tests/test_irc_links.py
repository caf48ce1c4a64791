"""Several servers of one IRC network, without sockets: each hears the others in the same order."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from examples.irc.links import BEAT, SILENCE, Link
from examples.irc.network import Network, Settings
from tests.irc import Clock, person

pytestmark = pytest.mark.worldless


class Bus:
    """Has what was published, in order, and each server's place in it."""

    def __init__(self):
        self.clock = Clock()
        self.nodes = []
        self.packets = []

    def server(self, name):
        """A server of the network, of which the others know as soon as it has flown."""
        sid = f"0{len(self.nodes):08}"
        net = Network(name, sid, Settings("Example", rate=0), now=self.clock)
        net.others = Link(net, note=(notes := []).append)
        net.notes, net.cut_off, net.place = notes, False, len(self.packets)
        net.others.begin()
        self.nodes.append(net)
        return net

    def publish(self, net):
        """What a server has to say; lost if it is cut off. Whether it was anything."""
        before = len(self.packets)
        while (packet := net.others.take()) is not None:
            if not net.cut_off:
                self.packets.append(packet)
        return len(self.packets) > before

    def deliver(self, net, times=1):
        """The next packet to a server, so often; lost if it is cut off. Whether there was one."""
        if net.place == len(self.packets):
            return False
        for _ in range(0 if net.cut_off else times):
            net.others.hear(self.packets[net.place])
        net.place += 1
        return True

    def flow(self, times=1):
        """Until nobody has anything to say, and all have heard all."""
        while any([self.publish(net) or self.deliver(net, times) for net in self.nodes]):
            pass

    def pass_time(self, seconds):
        for _ in range(int(seconds)):
            self.clock.seconds += 1
            for net in self.nodes:
                net.pulse()
            self.flow()


@pytest.fixture
def bus():
    return Bus()


@pytest.fixture
def east(bus):
    return bus.server("east.example")


@pytest.fixture
def west(bus, east):
    west = bus.server("west.example")
    bus.flow()
    return west


def picture(net):
    """All that a server knows, but for who is connected to it."""
    users = {
        (user.uid, user.nick, user.user, user.host, user.realname, user.away, user.server.name)
        for user in net.users.values()
    }
    channels = {
        (
            each.name, each.since, *each.modes(), each.topic, *sorted(each.bans),
            *sorted(f"{user.uid} {ranks}" for user, ranks in each.members.items()),
        )
        for each in net.channels.values()
    }  # fmt: skip
    return users, channels


def test_what_happens_at_one_server_is_seen_at_the_other(bus, east, west):
    ann, bob = person(east, "Ann", "JOIN #x"), person(west, "Bob")
    bus.flow()
    bob.say()
    assert [
        ":Bob!Bob@10.0.0.1 JOIN #x",
        ":west.example 353 Bob = #x :@Ann Bob",
        ":west.example 366 Bob #x :End of NAMES list",
    ] == bob.say("JOIN #x")
    bus.flow()
    ann.say()
    steps = [
        (ann, bob, "PRIVMSG #x :hello", "PRIVMSG #x :hello"),
        (bob, ann, "NOTICE ann :hi", "NOTICE Ann :hi"),
        (ann, bob, "TOPIC #x :Weather", "TOPIC #x :Weather"),
        (ann, bob, "MODE #x +vlb Bob 7 bad", "MODE #x +vlb Bob 7 bad!*@*"),
        (ann, bob, "MODE #x -v+o bob bob", "MODE #x -v+o Bob Bob"),
        (bob, ann, "NICK Rob", "NICK Rob"),
    ]
    for speaker, hearer, said, heard in steps:
        who = speaker.session.user.prefix
        speaker.say(said)
        bus.flow()
        assert [f":{who} {heard}"] == hearer.say()
        assert picture(east) == picture(west)
    bob.say("AWAY :out")
    bus.flow()
    lines = ann.say("PRIVMSG rob :there?", "WHOIS rob", "LUSERS", "LINKS")
    assert ":east.example 301 Ann Rob :out" == lines[0]
    assert ":east.example 311 Ann Rob Bob 10.0.0.1 * Bob" == lines[1]
    assert ":east.example 312 Ann Rob west.example :of the Example network" in lines
    assert ":east.example 265 Ann :Current local users 1" in lines
    assert ":east.example 266 Ann :Current global users 2" in lines
    assert 2 == len([line for line in lines if " 364 " in line])
    ann.say("INVITE rob #z")
    bus.flow()
    assert ":Ann!Ann@10.0.0.1 INVITE Rob #z" == bob.say()[-1]
    bob.say("KICK #x Ann :out")
    bus.flow()
    assert ":Rob!Bob@10.0.0.1 KICK #x Ann :out" == ann.say()[-1]
    bob.say("QUIT :bye")
    ann.say("JOIN #y")
    bus.flow()
    assert picture(east) == picture(west)
    assert 1 == len(west.users)


def test_a_server_that_comes_later_learns_all_there_is(bus, east, west):
    person(east, "Ann", "JOIN #x,#y", "MODE #x +klb key 5 bad", "TOPIC #x :Weather", "AWAY :out")
    person(west, "Bob", "JOIN #x key,#y", "MODE Bob +i")
    bus.flow()
    north = bus.server("north.example")
    bus.flow(times=2)  # what comes twice is heard once
    assert picture(east) == picture(west) == picture(north)
    assert 2 == len(north.users) and 2 == len(north.channels)
    carl = person(north, "Carl")
    assert ":north.example 433 Carl bob :Nickname is already in use" in carl.say("NICK bob")


def test_who_had_a_nick_first_keeps_it(bus, east, west):
    """The other one gets an ugly one, and everybody agrees."""
    north = bus.server("north.example")
    bus.flow()
    early = person(east, "Ann", "JOIN #x")
    bus.clock.seconds += 1
    late = person(west, "ANN", "JOIN #y")
    early.say()
    late.say()
    bus.flow()
    uid = late.session.user.uid
    assert [
        ":west.example NOTICE ANN :*** Ann belongs to somebody who has had it for longer",
        f":ANN!ANN@10.0.0.1 NICK {uid}",
    ] == late.say()
    assert [] == early.say()
    assert "Ann" == early.session.user.nick and uid == late.session.user.nick
    assert picture(east) == picture(west) == picture(north)
    late.say("NICK Anna")
    bus.flow()
    assert "Anna" in {user.nick for user in east.users.values()}


def test_a_channel_belongs_to_who_made_it_first(bus, east, west):
    """Ranks and modes of the other one are taken back before all."""
    early = person(east, "Early", "JOIN #x", "MODE #x +m")
    bus.clock.seconds += 1
    late = person(west, "Late", "JOIN #x", "MODE #x +skb key bad")
    early.say()
    late.say()
    bus.flow()
    assert picture(east) == picture(west)
    assert ["#x"] == [each.name for each in west.channels.values()]
    assert ["+mnt"] == west.find_channel("#x").modes()
    assert ":west.example MODE #x -nstkbo key bad!*@* Late" in late.say()
    assert [":Late!Late@10.0.0.1 JOIN #x"] == early.say()


def test_channels_made_at_the_same_moment_become_one(bus, east, west):
    """In two halves of a network, which have the modes of both when they meet."""
    east.cut_off = True
    bus.pass_time(SILENCE + 1)
    person(east, "Ann", "JOIN #x", "MODE #x +klm a 7")
    person(west, "Bob", "JOIN #x", "MODE #x +klb b 5 bad")
    bus.pass_time(1)
    east.cut_off = False
    bus.pass_time(2 * BEAT)
    assert picture(east) == picture(west)
    channel = east.find_channel("#x")
    assert ["+mntkl", "b", "7"] == channel.modes() and ["bad!*@*"] == list(channel.bans)
    assert {"o"} == set(channel.members.values())


def test_a_server_that_falls_silent_is_split_off_and_comes_back(bus, east, west):
    ann, bob = person(east, "Ann", "JOIN #x"), person(west, "Bob", "JOIN #x")
    bus.flow()
    bus.pass_time(3 * SILENCE)
    assert not any("split" in note for note in east.notes)
    ann.say()
    bob.say()
    west.cut_off = True
    bus.pass_time(SILENCE - BEAT - 1)
    assert [] == ann.say()
    bus.pass_time(BEAT + 2)
    assert [":Bob!Bob@10.0.0.1 QUIT :east.example west.example"] == ann.say()
    assert [":Ann!Ann@10.0.0.1 QUIT :west.example east.example"] == bob.say()
    assert {"Ann"} == {user.nick for user in east.users.values()}
    west.cut_off = False
    bus.pass_time(2 * BEAT)
    assert ":Bob!Bob@10.0.0.1 JOIN #x" == ann.say()[0]
    assert ":Ann!Ann@10.0.0.1 JOIN #x" == bob.say()[0]
    assert picture(east) == picture(west)
    bob.say("PRIVMSG #x :back")
    bus.flow()
    assert [":Bob!Bob@10.0.0.1 PRIVMSG #x :back"] == ann.say()
    assert any("west.example is split from the network: nothing" in note for note in east.notes)


def test_a_gap_is_seen_as_a_split(bus, east, west):
    """At once, and only by those who have missed something."""
    north = bus.server("north.example")
    ann, bob, carl = (
        person(net, nick, "JOIN #x") for net, nick in ((east, "A"), (west, "B"), (north, "C"))
    )
    bus.flow()
    for each in ann, bob, carl:
        each.say()
    east.cut_off = True
    bob.say("PRIVMSG #x :lost")
    bus.flow()
    east.cut_off = False
    bob.say("PRIVMSG #x :found")
    bus.flow()
    assert [
        ":B!B@10.0.0.1 QUIT :east.example west.example",
        ":B!B@10.0.0.1 JOIN #x",
    ] == ann.say()[:2]
    assert [":B!B@10.0.0.1 PRIVMSG #x :lost", ":B!B@10.0.0.1 PRIVMSG #x :found"] == carl.say()
    assert picture(east) == picture(west) == picture(north)
    assert any("1 packets of it are missing" in note for note in east.notes)


def test_who_leaves_in_order_is_gone_at_once(bus, east, west):
    ann, _ = person(east, "Ann", "JOIN #x"), person(west, "Bob", "JOIN #x")
    bus.flow()
    ann.say()
    west.others.leave()
    bus.flow()
    assert [":Bob!Bob@10.0.0.1 QUIT :east.example west.example"] == ann.say()
    assert [] == east.others.servers


def test_a_server_without_others_forgets_what_nobody_hears(bus, east):
    person(east, "Ann", "JOIN #x")
    east.others.forget()
    west = bus.server("west.example")
    bus.flow()
    assert picture(east) == picture(west)


@given(st.binary() | st.text(":FROM0123456789 *abc\r\n").map(str.encode))
def test_no_packet_breaks_a_server(packet):
    bus = Bus()
    east, west = bus.server("east.example"), bus.server("west.example")
    bus.flow()
    person(east, "Ann", "JOIN #x")
    before = picture(east)
    east.others.hear(packet)
    sid = west.me.sid.encode()
    east.others.hear(b":%b FROM west.example 100 *\r\n%b" % (sid, packet))
    assert before == picture(east)


changes = st.tuples(
    st.sampled_from("UID NICK QUIT AWAY UMODE CHANNEL JOIN PART KICK MODE BAN TOPIC INVITE "
                    "PRIVMSG NOTICE TAGMSG BURST ASK BYE FROM X".split()),
    st.lists(st.sampled_from(["000000000000001", "000000001000001", "#x", "Ann", "Bob", "5", "-",
                              "+o", "+lk", "x", "*", ""]), max_size=8),
)  # fmt: skip


@settings(max_examples=100)
@given(st.lists(st.tuples(st.booleans(), changes), max_size=10))
def test_no_change_breaks_a_server(said):
    """Whatever another version may mean by it."""
    bus = Bus()
    east, west = bus.server("east.example"), bus.server("west.example")
    bus.flow()
    for net, nick in (east, "Ann"), (west, "Bob"):
        person(net, nick, "JOIN #x")
    bus.flow()
    for number, (by_user, (command, params)) in enumerate(said):
        source = west.me.sid + "000001" * by_user
        words = " ".join([*params[:-1], f":{params[-1]}" if params else ""])
        packet = f":{west.me.sid} FROM west.example {100 + number} *\r\n:{source} {command} {words}"
        east.others.hear(packet.encode())
    assert set(east.users.values()) == set(east.nicks.values())
    for name, channel in east.channels.items():
        assert all(user.channels[name] is channel for user in channel.members)
    assert "421" in person(east, "Carl").say("JOIN #x", "WHO *", "LIST", "XYZZY")[-1]


@pytest.mark.parametrize(
    "change",
    [
        b":0w1 UID 0w2 Eve 5 eve host + * :Eve",  # a user is no server
        b":0w1 CHANNEL #y 5 +nt",
        b":0w1 JOIN #y 5 q",
    ],
)
def test_what_makes_no_sense_is_passed_over(change):
    """Or else nobody would get an answer that has it in."""
    east = Bus().server("east.example")
    ann = person(east, "Ann")
    bob = b":0w UID 0w1 Bob 5 bob host + * :Bob"
    east.others.hear(b"\r\n".join([b":0w FROM west.example 1 *", b":0w BURST", bob]))
    before = picture(east)
    east.others.hear(b":0w FROM west.example 2 *\r\n" + change)
    assert before == picture(east)
    assert ["352", "352", "315"] == [line.split()[1] for line in ann.say("WHO *")[-3:]]


people = st.integers(0, 3)
steps = st.one_of(
    st.tuples(
        st.just("say"),
        people,
        st.sampled_from(
            "JOIN #x|JOIN #y|PART #x|MODE #x +o A|MODE #x +b x|MODE #x -b x|MODE #x +k a|"
            "MODE #x +k b|MODE #x +l 9|MODE #x -k *|KICK #x B|TOPIC #x :a|TOPIC #x :b|NICK Z|"
            "NICK A|NICK B|AWAY :x|AWAY|QUIT".split("|")
        ),
    ),
    st.tuples(st.sampled_from(["publish", "deliver"]), people),
    st.just(["flow"]),
)  # fmt: skip


def words(who, *lines):
    return [("say", who, line) for line in lines]


FLOW = [("flow",)]


@settings(max_examples=50)
@given(st.lists(steps, max_size=25))
# Two say what cannot both be; an old channel is left while somebody comes into a younger one; the
# last member leaves a channel while somebody comes.
@example(words(0, "JOIN #x") + FLOW + words(1, "JOIN #x") + words(0, "MODE #x +o B") + FLOW
         + words(0, "MODE #x +k a") + words(1, "MODE #x +k b"))  # fmt: skip
@example(words(1, "JOIN #x", "KICK #x B") + words(0, "JOIN #x"))
@example(words(1, "JOIN #x") + words(0, "JOIN #x") + words(1, "QUIT"))
@example(words(1, "JOIN #x") + FLOW + words(0, "JOIN #x") + words(1, "QUIT"))
def test_servers_agree_in_the_end(said):
    """On all there is, whatever was said at the same time, and in whatever order they heard it."""
    bus = Bus()
    east, west, north = nodes = [bus.server(f"{name}.example") for name in ("e", "w", "n")]
    bus.flow()
    crowd = [person(net, nick) for net, nick in zip([east, west, east, north], "ABCD")]
    bus.flow()
    for step, *about in said:
        bus.clock.seconds += 1
        if step == "say":
            crowd[about[0]].say(about[1])
        elif step == "flow":
            bus.flow()
        else:
            getattr(bus, step)(nodes[about[0] % 3])
    bus.flow()
    assert picture(east) == picture(west) == picture(north)
