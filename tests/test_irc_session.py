"""What IRC clients say and are told, without sockets and without waiting."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.irc import seeing
from examples.irc.accounts import Accounts, hashed
from tests.irc import Clock, Person, network, person

pytestmark = pytest.mark.worldless


def codes(lines):
    """The commands and numerics of lines, in order."""
    return [line.removeprefix("@").split(" ")[line[0] in ":@"] for line in lines]


@pytest.fixture
def net():
    return network()


@pytest.fixture
def ann(net):
    return person(net, "Ann", "JOIN #x")


@pytest.fixture
def bob(net, ann):
    bob = person(net, "Bob", "JOIN #x")
    ann.say()
    return bob


# Registration


def test_who_registers_is_welcome(net):
    """In either order of NICK and USER; a PASS too many does no harm."""
    net.settings.motd = ["Be kind."]
    someone = Person(net, "::1")
    assert [] == someone.say("PASS any", "USER ann 0 * :Ann")
    heard = someone.say("NICK Ann")
    assert ":irc.example 001 Ann :Welcome to the Example network, Ann!ann@0::1" == heard[0]
    assert "001 002 003 004 005 005 251 252 253 254 255 265 266 375 372 376".split() == codes(heard)
    assert "CASEMAPPING=rfc1459" in heard[4]
    assert ":irc.example 372 Ann :- Be kind." in heard


@pytest.mark.parametrize(
    "line, answer",
    [
        ("NICK", "431 * :No nickname given"),
        ("NICK :", "431 * :No nickname given"),
        ("NICK 1x", "432 * 1x :Erroneous nickname"),
        ("NICK :a b", "432 * a :Erroneous nickname"),
        ("NICK ann", "433 * ann :Nickname is already in use"),
        ("USER x", "461 * USER :Not enough parameters"),
        ("PASS", "461 * PASS :Not enough parameters"),
        ("PRIVMSG Ann :x", "451 * :You have not registered"),
        ("XYZZY", "451 * :You have not registered"),
        ("PING", "409 * :No origin specified"),
        ("PING x", "PONG irc.example :x"),
        ("CAP XYZZY", "410 * XYZZY :Invalid CAP command"),
        ("x" * 511, "417 * :Input line was too long"),
        (":", None),
    ],
)
def test_at_the_door(net, ann, line, answer):
    expected = [] if answer is None else [f":irc.example {answer}"]
    assert expected == Person(net).say(line)


def test_the_password_is_asked_for():
    net = network(password="secret")
    assert "001" == codes(person_heard(net, "PASS secret"))[0]
    for wrong in "PASS wrong", "PASS \udcff", "PING x":
        someone = Person(net)
        assert ["464", "ERROR"] == codes(someone.say(wrong, "NICK y", "USER y 0 * :Y"))[-2:]
        assert someone.has_ended and [] == someone.say("NICK y")


def person_heard(net, *lines):
    return Person(net).say(*lines, "NICK x", "USER x 0 * :X")


def test_who_takes_too_long_to_register_is_shown_out():
    clock = Clock()
    net = network(clock, patience=30)
    slow, quick = Person(net), person(net, "quick")
    clock.seconds += 29.9
    net.pulse()
    assert not slow.has_ended
    clock.seconds += 0.1
    net.pulse()
    assert slow.has_ended and not quick.has_ended
    assert ["ERROR :Closing Link: 10.0.0.1 (Registration timed out)"] == slow.say()


def test_who_is_silent_is_asked_and_then_shown_out():
    clock = Clock()
    net = network(clock, quiet=100, answer=50)
    silent, alive = person(net, "silent", "JOIN #x"), person(net, "alive", "JOIN #x")
    silent.say()
    alive.say()
    clock.seconds += 100
    net.pulse()
    assert ["PING irc.example"] == silent.say() == alive.say()
    clock.seconds += 10
    alive.say("PONG :irc.example")
    clock.seconds += 40
    net.pulse()
    assert silent.has_ended and not alive.has_ended
    assert [":silent!silent@10.0.0.1 QUIT :Ping timeout: 150 seconds"] == alive.say()
    clock.seconds += 60
    net.pulse()
    assert ["PING irc.example"] == alive.say()


def test_a_nick_is_changed_before_all_who_know_it(net, ann, bob):
    stranger = person(net, "Stranger")
    stranger.say()
    assert [":Ann!Ann@10.0.0.1 NICK Anna"] == ann.say("NICK Anna")
    assert [":Ann!Ann@10.0.0.1 NICK Anna"] == bob.say()
    assert [] == stranger.say()
    assert [":Anna!Ann@10.0.0.1 NICK ANNA"] == ann.say("NICK ANNA")
    assert [] == ann.say("NICK ANNA")
    assert [":irc.example 433 ANNA bob :Nickname is already in use"] == ann.say("NICK bob")
    assert ["001"] == codes(person_heard(net, "NICK Ann"))[:1]


# Channels


def test_who_comes_is_seen_and_told_who_is_there(net, ann):
    """Its founder is its operator."""
    ann.say("TOPIC #x :Weather")
    bob = person(net, "Bob")
    bob.say()
    assert [
        ":Bob!Bob@10.0.0.1 JOIN #x",
        ":irc.example 332 Bob #x :Weather",
        ":irc.example 333 Bob #x Ann!Ann@10.0.0.1 1000000000",
        ":irc.example 353 Bob = #x :@Ann Bob",
        ":irc.example 366 Bob #x :End of NAMES list",
    ] == bob.say("JOIN #X,#x")
    assert [":Bob!Bob@10.0.0.1 JOIN #x"] == ann.say()


@pytest.mark.parametrize(
    "mode, without, with_it, code",
    [
        ("+k key", "JOIN #x", "JOIN #x key", "475"),
        ("+k key", "JOIN #x wrong", "JOIN #y,#x ,key", "475"),
        ("+l 1", "JOIN #x", None, "471"),
        ("+i", "JOIN #x", None, "473"),
        ("+b *!*@10.0.0.*", "JOIN #x", None, "474"),
        ("+b bo?", "JOIN #x", None, "474"),
    ],
)
def test_keys_limits_and_bans_keep_out(net, ann, mode, without, with_it, code):
    """Who is invited comes in, once."""
    ann.say(f"MODE #x {mode}")
    bob = person(net, "Bob")
    bob.say()
    assert [code] == codes(bob.say(without))
    if with_it is not None:
        assert "JOIN" in codes(bob.say(with_it))
        bob.say("PART #x")
    ann.say("INVITE bob #x")
    assert [":Ann!Ann@10.0.0.1 INVITE Bob #x"] == bob.say()
    assert "JOIN" == codes(bob.say("JOIN #x"))[0]
    assert code == codes(bob.say("PART #x", without))[-1]


def test_who_is_no_operator_opens_no_door(net, ann, bob):
    """They may invite, but whoever comes is let in as anybody else is."""
    eve = person(net, "Eve")
    ann.say("MODE #x +b eve")
    eve.say()
    bob.say("INVITE eve #x")
    assert ["INVITE", "474"] == codes(eve.say("JOIN #x"))


def test_invitations_to_what_has_ended_are_not_kept(net, ann, bob):
    for name in "#1", "#2", "#3":
        bob.say(f"JOIN {name}", f"INVITE ann {name}", f"PART {name}")
    assert 1 == len(ann.session.user.invited)


def test_who_leaves_is_seen_to(net, ann, bob):
    assert [":Bob!Bob@10.0.0.1 PART #x :so long"] == bob.say("PART #x :so long")
    assert [":Bob!Bob@10.0.0.1 PART #x :so long"] == ann.say()
    assert [":irc.example 442 Bob #x :You're not on that channel"] == bob.say("PART #x")
    assert [":irc.example 403 Bob #y :No such channel"] == bob.say("PART #y")
    bob.say("JOIN #x,#y")
    ann.say()
    assert ["PART", "PART"] == codes(bob.say("JOIN 0"))
    assert [":Bob!Bob@10.0.0.1 PART #x :Left all channels"] == ann.say()
    ann.say("PART #x")
    assert [] == list(net.channels)


def test_who_quits_is_seen_once_by_each(net, ann, bob):
    ann.say("JOIN #y")
    bob.say("JOIN #y")
    ann.say()
    assert ["ERROR :Closing Link: 10.0.0.1 (Quit: bye)"] == bob.say("QUIT :bye")
    assert bob.has_ended
    assert [":Bob!Bob@10.0.0.1 QUIT :Quit: bye"] == ann.say()
    bob.session.lost("again")
    assert [] == ann.say()


def test_who_is_lost_is_seen_to_be(net, ann, bob):
    bob.session.lost("SendQ exceeded")
    assert [":Bob!Bob@10.0.0.1 QUIT :SendQ exceeded"] == ann.say()
    assert not bob.has_ended and [] == bob.say("PRIVMSG #x :too late")
    assert ["001"] == codes(person_heard(net, "NICK Bob"))[:1]


def test_an_operator_kicks(net, ann, bob):
    assert [":irc.example 482 Bob #x :You're not channel operator"] == bob.say("KICK #x Ann")
    assert [":Ann!Ann@10.0.0.1 KICK #x Bob :Ann"] == ann.say("KICK #x bob")
    assert [":Ann!Ann@10.0.0.1 KICK #x Bob :Ann"] == bob.say()
    assert ["441"] == codes(ann.say("KICK #x bob :again"))
    assert ["403"] == codes(ann.say("KICK #nowhere bob"))


def test_topics_are_for_operators_unless_they_are_for_all(net, ann, bob):
    assert [":irc.example 331 Bob #x :No topic is set"] == bob.say("TOPIC #x")
    assert ["482"] == codes(bob.say("TOPIC #x :mine"))
    assert [":Ann!Ann@10.0.0.1 MODE #x -t"] == ann.say("MODE #x -t")
    assert "TOPIC" == codes(bob.say("TOPIC #x :mine"))[-1]
    assert [":Bob!Bob@10.0.0.1 TOPIC #x :mine"] == ann.say()
    assert [":Bob!Bob@10.0.0.1 TOPIC #x :"] == bob.say("TOPIC #x :")
    assert ["403"] == codes(bob.say("TOPIC #nowhere"))


@pytest.mark.parametrize(
    "line, seen",
    [
        ("+im-n", "+im-n"),
        ("+v Bob", "+v Bob"),
        ("+o-v Bob Bob", "+o Bob"),
        ("+lk 5 key", "+lk 5 key"),
        ("+b x", "+b x!*@*"),
        ("+bb a@b *!c", "+bb *!a@b *!c@*"),
        ("+t", None),
        ("-k any", None),
        ("-l", None),
        ("+nnn", None),
        ("+ii-i+i", "+i-i+i"),
    ],
)
def test_operators_change_modes(net, ann, bob, line, seen):
    """Those are seen that change something."""
    expected = [] if seen is None else [f":Ann!Ann@10.0.0.1 MODE #x {seen}"]
    assert expected == ann.say(f"MODE #x {line}")
    assert expected == bob.say()


@pytest.mark.parametrize(
    "line, code",
    [
        ("+o Nobody", "401"),
        ("+o Stranger", "441"),
        ("+o", "461"),
        ("+k", "461"),
        ("+l x", "461"),
        ("+l 0", "461"),
        ("+l -5", "461"),
        ("+X", "472"),
    ],
)
def test_modes_that_make_no_sense(net, ann, line, code):
    person(net, "Stranger")
    ann.say()
    assert [code] == codes(ann.say(f"MODE #x {line}"))


def test_modes_are_told(net, ann, bob):
    """The key to members alone; bans to all."""
    ann.say("MODE #x +klb key 5 *!*@bad")
    stranger = person(net, "Stranger")
    stranger.say()
    bob.say()
    assert ":irc.example 324 Bob #x +ntkl key 5" in bob.say("MODE #x")
    assert ":irc.example 324 Stranger #x +ntkl * 5" in stranger.say("MODE #x")
    assert [
        ":irc.example 367 Bob #x *!*@bad Ann!Ann@10.0.0.1 1000000000",
        ":irc.example 368 Bob #x :End of channel ban list",
    ] == bob.say("MODE #x b")
    assert ["482"] == codes(bob.say("MODE #x +m"))


def test_users_change_their_own_modes_alone(net, ann, bob):
    assert [":Ann!Ann@10.0.0.1 MODE Ann +i"] == ann.say("MODE ann +iX")[1:]
    assert [":irc.example 221 Ann +i"] == ann.say("MODE Ann")
    assert [] == ann.say("MODE Ann +i")
    assert ["502"] == codes(ann.say("MODE Bob +i"))
    assert ["401"] == codes(ann.say("MODE Nobody +i"))


# Talk


def test_what_is_said_is_heard_by_the_others(net, ann, bob):
    ann.say("PRIVMSG #X :hello, all", "NOTICE bob :psst", "PRIVMSG Ann,Bob,bob :both")
    assert [
        ":Ann!Ann@10.0.0.1 PRIVMSG #x :hello, all",
        ":Ann!Ann@10.0.0.1 NOTICE Bob :psst",
        ":Ann!Ann@10.0.0.1 PRIVMSG Bob :both",
    ] == bob.say()
    assert [":Ann!Ann@10.0.0.1 PRIVMSG Ann :me"] == ann.say("PRIVMSG #x :x", "PRIVMSG ann :me")


@pytest.mark.parametrize("line, code", [
    ("PRIVMSG", "411"), ("PRIVMSG #x", "412"), ("PRIVMSG #x :", "412"), ("PRIVMSG #y :x", "403"),
    ("PRIVMSG nobody :x", "401"), ("PRIVMSG a,b,c,d,e :x", "407"),
    ("NOTICE", None), ("NOTICE nobody :x", None), ("NOTICE #y :x", None),
])  # fmt: skip
def test_what_cannot_be_said(net, ann, line, code):
    """A NOTICE is never answered."""
    ann.say()
    assert ([] if code is None else [code]) == codes(ann.say(line))


def test_moderation_lets_those_with_a_rank_talk(net, ann, bob):
    ann.say("MODE #x +m")
    bob.say()
    assert ["404"] == codes(bob.say("PRIVMSG #x :may I?"))
    ann.say("MODE #x +v Bob")
    bob.say()
    assert [] == bob.say("PRIVMSG #x :thanks")
    assert [":Bob!Bob@10.0.0.1 PRIVMSG #x :thanks"] == ann.say()


def test_strangers_and_the_banned_are_not_heard(net, ann, bob):
    stranger = person(net, "Stranger")
    stranger.say()
    assert ["404"] == codes(stranger.say("PRIVMSG #x :hello"))
    ann.say("MODE #x -n+b Bob")
    bob.say()
    assert [] == stranger.say("PRIVMSG #x :hello")
    assert ["PRIVMSG", "404"] == codes(bob.say("PRIVMSG #x :hello"))


def test_who_is_away_says_so(net, ann, bob):
    assert ["306"] == codes(bob.say("AWAY :at lunch"))
    assert [":irc.example 301 Ann Bob :at lunch"] == ann.say("PRIVMSG Bob :there?")
    found = "Bob=-Bob@10.0.0.1 Ann=+Ann@10.0.0.1"
    assert [f":irc.example 302 Ann :{found}"] == ann.say("USERHOST bob ann x")
    bob.say("AWAY")
    assert [] == ann.say("PRIVMSG Bob :there?")


def test_bytes_that_are_no_text_come_out_as_they_went_in(net, ann, bob):
    ann.say("PRIVMSG #x :\udcff\udc80")
    assert [":Ann!Ann@10.0.0.1 PRIVMSG #x :\udcff\udc80"] == bob.say()


def test_a_line_is_cut_at_512_bytes(net, ann, bob):
    """What goes before it takes its room."""
    ann.say("PRIVMSG #x :" + "\N{SNOWMAN}" * 160)
    (line,) = bob.say()
    assert 507 <= len(line.encode()) <= 510 and line.endswith("\N{SNOWMAN}")


# Questions


def test_who_is_there(net, ann, bob):
    bob.say("AWAY :out")
    bob.say()
    assert [
        ":irc.example 352 Bob #x Ann 10.0.0.1 irc.example Ann H@ :0 Ann",
        ":irc.example 352 Bob #x Bob 10.0.0.1 irc.example Bob G :0 Bob",
        ":irc.example 315 Bob #x :End of WHO list",
    ] == bob.say("WHO #x")
    assert ["352", "315"] == codes(bob.say("WHO a?n"))
    assert ["315"] == codes(bob.say("WHO nobody"))
    assert [":irc.example 303 Bob :Ann Bob"] == bob.say("ISON ann x :bob y")


def test_whois(net, ann, bob):
    bob.say("AWAY :out")
    net.now.seconds += 7
    assert [
        ":irc.example 311 Ann Bob Bob 10.0.0.1 * Bob",
        ":irc.example 319 Ann Bob :#x",
        ":irc.example 312 Ann Bob irc.example :of the Example network",
        ":irc.example 301 Ann Bob :out",
        ":irc.example 317 Ann Bob 7 1000000000 :seconds idle, signon time",
        ":irc.example 318 Ann bob :End of WHOIS list",
    ] == ann.say("WHOIS bob")
    assert ["401", "318"] == codes(ann.say("WHOIS irc.example nobody"))
    assert ["431"] == codes(ann.say("WHOIS"))
    assert ["406", "369"] == codes(ann.say("WHOWAS bob"))


def test_secrets_are_kept(net, ann):
    """Of secret channels and invisible users strangers hear nothing."""
    ann.say("MODE #x +s", "MODE Ann +i")
    stranger = person(net, "Stranger")
    stranger.say()
    assert ["321", "323"] == codes(stranger.say("LIST"))
    assert ["366"] == codes(stranger.say("NAMES #x"))
    assert ["403"] == codes(stranger.say("MODE #x"))
    assert ["315"] == codes(stranger.say("WHO #x"))
    assert "319" not in codes(stranger.say("WHOIS ann"))
    assert not [line for line in stranger.say("WHO *") if "Ann" in line]
    assert "322" in codes(ann.say("LIST"))


def test_channels_are_listed(net, ann, bob):
    ann.say("TOPIC #x :Weather", "JOIN #y")
    ann.say()
    assert [
        ":irc.example 321 Ann Channel :Users  Name",
        ":irc.example 322 Ann #x 2 :Weather",
        ":irc.example 322 Ann #y 1 :",
        ":irc.example 323 Ann :End of LIST",
    ] == ann.say("LIST")
    assert ["321", "322", "323"] == codes(ann.say("LIST #y"))


def test_many_names_take_many_lines(net, ann):
    """None is longer than 512 bytes, and none is left out."""
    nicks = {f"{'n' * 25}{number:03}" for number in range(60)}
    for nick in nicks:
        person(net, nick, "JOIN #x")
    ann.say()
    lines = ann.say("NAMES #x")
    assert all(len(line) <= 510 for line in lines)
    found = {nick for line in lines[:-1] for nick in line.rpartition(":")[2].split()}
    assert nicks | {"@Ann"} == found


def test_nobody_gets_more_answers_than_they_can_read(net, ann, monkeypatch):
    """They are told that there are more."""
    monkeypatch.setattr(seeing, "MOST_ANSWERS", 3)
    for number in range(5):
        person(net, f"n{number}", f"JOIN #y{number}")
    ann.say()
    assert ["352"] * 3 + ["416", "315"] == codes(ann.say("WHO *"))
    assert ["321"] + ["322"] * 3 + ["416", "323"] == codes(ann.say("LIST"))


def test_the_server_tells_of_itself(net, ann):
    ann.say()
    lines = ann.say("LUSERS")
    assert ":irc.example 251 Ann :There are 1 users and 0 invisible on 1 servers" in lines
    assert ["422"] == codes(ann.say("MOTD"))
    assert ["402"] == codes(ann.say("MOTD other.example"))
    others = ann.say("VERSION", "TIME irc.example", "LINKS", "OPER x y", "XYZZY", ": :x")
    assert ["351", "391", "364", "365", "491", "421", "421"] == codes(others)
    assert ":irc.example 421 Ann X :Unknown command" == others[-1]


# Capabilities


def test_capabilities_hold_registration_up_until_they_are_settled(net):
    someone = Person(net)
    assert [
        ":irc.example CAP * LS :echo-message message-tags multi-prefix server-time"
    ] == someone.say("CAP LS 302", "NICK x", "USER x 0 * :X")
    wanted = "message-tags what"
    assert [f":irc.example CAP x NAK :{wanted}"] == someone.say(f"CAP REQ :{wanted}")
    assert [":irc.example CAP x ACK :multi-prefix"] == someone.say("CAP REQ multi-prefix")
    assert [":irc.example CAP x LIST :multi-prefix"] == someone.say("CAP LIST")
    assert "001" == codes(someone.say("CAP END"))[0]


def test_each_hears_in_the_form_it_has_asked_for(net, ann, bob):
    """Tags of clients go to those who want tags, the time to those who want the time."""
    carol, dave = (person(net, nick, "JOIN #x") for nick in ("Carol", "Dave"))
    ann.say("CAP REQ message-tags")
    bob.say("CAP REQ server-time")
    carol.say("CAP REQ :message-tags server-time")
    for each in ann, bob, carol, dave:
        each.say()
    ann.say("@+reply=1;other=2 PRIVMSG #x :hello")
    plain = ":Ann!Ann@10.0.0.1 PRIVMSG #x :hello"
    assert [plain] == dave.say()
    assert [f"@time=2001-09-09T01:46:40.000Z {plain}"] == bob.say()
    assert [f"@time=2001-09-09T01:46:40.000Z;+reply=1 {plain}"] == carol.say()
    carol.say("@+typing=active TAGMSG #x")
    assert ["@+typing=active :Carol!Carol@10.0.0.1 TAGMSG #x"] == ann.say()
    assert [] == bob.say() == dave.say("@+typing=active TAGMSG #x")
    bob.say("CAP REQ :-server-time")
    bob.say()
    ann.say("PRIVMSG #x :again")
    assert [":Ann!Ann@10.0.0.1 PRIVMSG #x :again"] == bob.say()


def test_who_wants_echoes_hears_itself(net, ann, bob):
    ann.say("CAP REQ echo-message")
    ann.say()
    assert [
        ":Ann!Ann@10.0.0.1 PRIVMSG #x :hello",
        ":Ann!Ann@10.0.0.1 PRIVMSG Bob :hi",
        ":Ann!Ann@10.0.0.1 PRIVMSG Ann :me",
    ] == ann.say("PRIVMSG #x :hello", "PRIVMSG bob :hi", "PRIVMSG ann :me")
    assert 2 == len(bob.say())


def test_all_ranks_are_shown_to_who_asks(net, ann, bob):
    ann.say("MODE #x +v Ann", "CAP REQ multi-prefix")
    assert ":irc.example 353 Ann = #x :@+Ann Bob" in ann.say("NAMES #x")
    assert ":irc.example 353 Bob = #x :@Ann Bob" in bob.say("NAMES #x")


def plain(*parts):
    return base64.b64encode(b"\0".join(parts)).decode()


@pytest.fixture(scope="module")
def accounts():
    return Accounts(f"# who may log in\nann:{hashed(b'secret')}\n\n")


def test_sasl_logs_in(accounts):
    net = network(accounts=accounts)
    ann = Person(net)
    assert "sasl=PLAIN" in ann.say("CAP LS 302")[0]
    ann.say("NICK Ann", "USER a 0 * :A", "CAP REQ sasl")
    assert ["AUTHENTICATE +"] == ann.say("AUTHENTICATE PLAIN")
    assert ["904"] == codes(ann.say(f"AUTHENTICATE {plain(b'', b'ann', b'wrong')}"))
    ann.say("AUTHENTICATE PLAIN")
    assert ["900", "903"] == codes(ann.say(f"AUTHENTICATE {plain(b'', b'ann', b'secret')}"))
    assert ["907"] == codes(ann.say("AUTHENTICATE PLAIN"))
    ann.say("CAP END")
    assert ":irc.example 330 Ann Ann ann :is logged in as" in ann.say("WHOIS ann")


@pytest.mark.parametrize("words, expected", [
    (["EXTERNAL"], ["908", "904"]),
    (["PLAIN", "*"], ["AUTHENTICATE", "906"]),
    (["PLAIN", "!"], ["AUTHENTICATE", "904"]),
    (["PLAIN", "+"], ["AUTHENTICATE", "904"]),
    (["PLAIN", "x" * 401], ["AUTHENTICATE", "905"]),
    (["PLAIN", "x" * 400, "+"], ["AUTHENTICATE", "904"]),
    (["PLAIN", plain(b"", b"nobody", b"secret")], ["AUTHENTICATE", "904"]),
])  # fmt: skip
def test_sasl_that_fails(accounts, words, expected):
    ann = Person(network(accounts=accounts))
    ann.say("CAP REQ sasl")
    assert expected == codes(ann.say(*[f"AUTHENTICATE {word}" for word in words]))


def test_guessing_passwords_costs_the_connection(accounts):
    ann = Person(network(accounts=accounts))
    ann.say("CAP REQ sasl")
    for _ in range(3):
        ann.say("AUTHENTICATE PLAIN", f"AUTHENTICATE {plain(b'', b'ann', b'guess')}")
    assert ann.has_ended


def test_a_file_of_accounts_that_is_none():
    with pytest.raises(ValueError, match="^line 2 is no NAME:ROUNDS.* --hash "):
        Accounts("# x\nann:secret\n")


# Floods


def test_who_says_too_much_at_once_is_heard_later():
    """In order, and at the rate that was set."""
    clock = Clock()
    net = network(clock, burst=5, rate=2)
    ann, bob = person(net, "Ann", "JOIN #x"), person(net, "Bob", "JOIN #x")
    ann.say()
    bob.say(*[f"PRIVMSG #x :{number}" for number in range(8)])
    heard = [int(line.rpartition(":")[2]) for line in ann.say()]
    assert [0, 1] == heard  # three lines were needed to come in
    for expected in [2, 3], [4, 5], [6, 7], []:
        clock.seconds += 1
        net.pulse()
        assert expected == [int(line.rpartition(":")[2]) for line in ann.say()]
    clock.seconds += 60
    bob.say(*[f"PRIVMSG #x :{number}" for number in range(8)])
    assert 5 == len(ann.say())


@pytest.mark.parametrize("line", ["PRIVMSG #x :" + "x" * 400, ""])
def test_who_says_much_too_much_is_shown_out(line):
    net = network(burst=5, rate=2)
    ann, bob = person(net, "Ann", "JOIN #x"), person(net, "Bob", "JOIN #x")
    ann.say()
    bob.say(*[line] * 8300)
    assert bob.has_ended
    assert ":Bob!Bob@10.0.0.1 QUIT :Excess Flood" == ann.say()[-1]


def test_the_end_of_the_server_is_told(net, ann, bob):
    ann.session.draining()
    assert ["ERROR :Closing Link: 10.0.0.1 (Server is shutting down)"] == ann.say()
    assert ann.has_ended


words = st.sampled_from(
    "Ann Bob #x #y , : :a * + - +o +b +k +l 5 0 ! @ x!y@z +nt-m-i * 302 LS REQ END :sasl -".split()
) | st.text(max_size=10)
commands = st.sampled_from(
    "JOIN PART KICK INVITE TOPIC MODE NAMES LIST WHO WHOIS ISON USERHOST PRIVMSG NOTICE TAGMSG "
    "AWAY NICK USER PASS CAP AUTHENTICATE PING PONG MOTD LUSERS VERSION LINKS TIME QUIT".split()
) | st.text(max_size=5)
lines = st.builds(
    lambda first, rest: " ".join([first, *rest]), commands, st.lists(words, max_size=4)
)
sayings = st.lists(
    st.tuples(st.integers(0, 2), lines.map(str.encode) | st.binary(max_size=40)), max_size=30
)


@settings(max_examples=100)
@given(sayings)
def test_nothing_that_is_said_breaks_a_network(said):
    """Every line that anybody hears is one, and what is known of users and channels agrees."""
    net = network()
    people = [person(net, nick, "JOIN #x") for nick in ("Ann", "Bob")] + [Person(net)]
    for index, line in said:
        people[index].session.receive(line)
    for each in people:
        assert all(len(line.encode(errors="surrogateescape")) <= 510 for line in each.heard)
        assert not any(set("\r\n\0") & set(line) for line in each.heard)
    here = {each.session.user for each in people if not each.session.is_over} - {None}
    assert here == set(net.users.values()) == set(net.nicks.values())
    for name, channel in net.channels.items():
        assert channel.members and set(channel.members) <= here
        assert all(user.channels[name] is channel for user in channel.members)
