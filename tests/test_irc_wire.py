"""Lines of IRC: whatever comes is parsed, and what is said is understood."""

import fnmatch
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from examples.irc import names, wire
from examples.irc.wire import LONGEST, LONGEST_LINE, Lines, Message, TooLong, parse, parse_any

pytestmark = pytest.mark.worldless

hostile = st.binary() | st.text(":@ ;=\\\r\n\0#,ab\ud800\xe9\N{SNOWMAN}").map(
    lambda text: text.encode(errors="surrogatepass")
)
octets = st.binary(max_size=80).map(lambda data: data.translate(None, b"\r\n\0"))
text = octets.map(lambda data: data.decode(errors="surrogateescape"))
word = octets.map(
    lambda data: data.replace(b" ", b"").lstrip(b":").decode(errors="surrogateescape")
).filter(bool)
tag_name = st.text("+abc/.-xyz0123", min_size=1, max_size=10)
messages = st.builds(
    Message,
    st.sampled_from(["PRIVMSG", "JOIN", "001", "X"]),
    st.builds(lambda words, last: (*words, *last), st.lists(word, max_size=4),
              st.lists(text, max_size=1)),
    word | st.just(""),
    st.dictionaries(tag_name, text, max_size=4),
)  # fmt: skip


@pytest.mark.parametrize(
    "line, message",
    [
        (b"PING", Message("PING")),
        (b"  ping  x  y ", Message("PING", ("x", "y"))),
        (b":a!b@c PRIVMSG #x :hi all :)\r\n", Message("PRIVMSG", ("#x", "hi all :)"), "a!b@c")),
        (b"TOPIC #x :", Message("TOPIC", ("#x", ""))),
        (b"@+a=b\\sc\\:\\\\;d;e= X", Message("X", (), "", {"+a": "b c;\\", "d": "", "e": ""})),
        (b"JOIN \xff\xfe", Message("JOIN", ("\udcff\udcfe",))),
        (b"JO\0IN", Message("JOIN")),
        (b"", None),
        (b" \r\n", None),
        (b":only.a.source", None),
        (b"@only=tags", None),
    ],
)  # fmt: skip
def test_lines_are_parsed(line, message):
    assert message == parse(line)


@given(hostile)
@example(b":")
@example(b"@ : :")
def test_no_bytes_break_the_parser(line):
    """And what was understood, if said again, is understood as the same."""
    message = parse_any(line)
    if message is not None and re.fullmatch("[A-Z0-9]+", message.command):
        again = parse_any(message.tagged_line(None))
        assert again == message
        with_end = message.tagged_line(LONGEST_LINE)
        assert with_end.count(b"\r") == with_end.count(b"\n") == 1 and b"\0" not in with_end


@given(messages)
def test_what_is_said_is_understood(message):
    assert message == parse_any(message.tagged_line(None))


@given(st.text("ab", max_size=5), st.integers(0, 300))
def test_a_line_is_never_longer_than_allowed(name, count):
    """And no character is cut in two."""
    text = "\N{SNOWMAN}" * count
    line = Message("PRIVMSG", (f"#{name}", text)).line()
    begin = f"PRIVMSG #{name} :".encode()
    kept = min(count, (LONGEST_LINE - 2 - len(begin)) // 3)
    assert begin + text[:kept].encode() + b"\r\n" == line


def test_a_line_that_is_too_long_is_refused():
    """Each part has a limit of its own."""
    assert parse(b"X " + b"y" * (LONGEST_LINE - 4)) is not None
    tags = b"@" + b"t" * (wire.LONGEST_TAGS - 2) + b" "
    assert parse(tags + b"X " + b"y" * (LONGEST_LINE - 4)) is not None
    for line in b"X " + b"y" * (LONGEST_LINE - 3), b"@t" + tags[1:] + b"X":
        with pytest.raises(TooLong):
            parse(line)


@given(st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\n", b""))), st.data())
def test_lines_come_out_however_the_bytes_come_in(lines, data):
    stream = b"".join([line + b"\n" for line in lines])
    taken, feeder = [], Lines()
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        taken += feeder.feed(stream[:size])
        stream = stream[size:]
    assert lines == taken


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=12))
def test_a_line_without_end_is_given_up(sizes):
    """It is seen to be too long, once; what follows it is heard again."""
    feeder = Lines()
    lines = [line for size in sizes for line in feeder.feed(b"x" * size)]
    lines += feeder.feed(b"end\nPING\n")
    *long, last = lines
    assert b"PING" == last
    assert 1 == len(long)
    assert len(long[0]) <= LONGEST + 1 or sum(sizes) + 3 == len(long[0])
    if sum(sizes) > LONGEST:
        with pytest.raises(TooLong):
            parse(long[0])


@pytest.mark.parametrize(
    "mask, text, expected",
    [
        ("*", "", True),
        ("a?c*", "ABCdef", True),
        ("*!*@10.*", "x!y@10.0.0.1", True),
        ("[x]*", "{x}y", True),
        ("a", "ab", False),
        ("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "a" * 5000, False),
        ("*" + "?" * 4000 + "b", "a" * 10_000, False),
        ("*" + "?a" * 2000 + "b*", "a" * 10_000, False),
    ],
)
def test_masks(mask, text, expected):
    """Case is that of 1988, and none takes for ever."""
    began = time.process_time()
    assert expected == names.matches(mask, text)
    assert time.process_time() - began < 2


@given(st.text("*?ab", max_size=8), st.text("ab", max_size=8))
def test_masks_match_as_patterns_do(mask, text):
    assert fnmatch.fnmatchcase(text, mask) == names.matches(mask, text)


@pytest.mark.parametrize("name", ["#x", "#", "#\N{SNOWMAN}", "#" + "x" * 63])
def test_names_of_channels(name):
    assert names.is_channel(name)


@pytest.mark.parametrize("name", ["x", "", "#a b", "#a,b", "#a:b", "#" + "x" * 64, "&x", "#\7"])
def test_what_is_no_channel(name):
    assert not names.is_channel(name)


@pytest.mark.parametrize("nick", ["a", "A-1", "[x]", "`^_", "x" * 30])
def test_nicks(nick):
    assert names.is_nick(nick)


@pytest.mark.parametrize("nick", ["", "1a", "-a", "a b", "a!", "\xe9", "x" * 31, "#x", "a:b"])
def test_what_is_no_nick(nick):
    """A digit at the beginning is for those who lost theirs."""
    assert not names.is_nick(nick)


def test_ipv6_addresses_do_not_begin_with_a_colon():
    """Or they would end the parameters."""
    assert "0::1" == names.as_host("::1")
