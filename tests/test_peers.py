"""Addresses as people read them, in words and lines that nobody can break."""

import pytest

from greensock.peers import address_text, one_line, one_word


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 9), "127.0.0.1:9"),
        (("::1", 9, 0, 0), "[::1]:9"),
        (("fe80::1%eth0", 9, 0, 2), "[fe80::1%eth0]:9"),
        ("", "unix:"),
        ("/run/chat", "unix:/run/chat"),
        (b"\0chat", "unix:@chat"),
        (b"/\xff", "unix:/\udcff"),
        (None, "None"),
        ((1, 2), "(1, 2)"),
    ],
)
def test_address_is_written_as_people_do(address, text):
    assert text == address_text(address)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("127.0.0.1:9", "127.0.0.1:9"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("a\r\nb", '"a\\r\\nb"'),
        ("\x1b[2J\x7f", '"\\u001b[2J\\u007f"'),
        ("\u2028é\udcff", '"\\u2028\\u00e9\\udcff"'),
    ],
)
def test_what_is_no_word_is_quoted(text, word):
    assert word == one_word(text)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (("::1", 9), "('::1', 9)"),
        ("é path", "é path"),
        ("a\nb", "'a\\nb'"),
        (OSError("a\u2028b"), "'a\\u2028b'"),
    ],
)
def test_what_is_no_line_is_quoted(value, line):
    assert line == one_line(value)
