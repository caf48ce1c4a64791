"""What --bind says is taken apart without opening or looking up anything."""

import pytest

from greensock.cli.endpoints import Endpoint, parse_endpoint
from greensock.errors import EndpointError

pytestmark = pytest.mark.worldless

PLACES = {
    "tcp://127.0.0.1:9000": ("tcp", ("127.0.0.1", 9000)),
    "tcp://localhost:0": ("tcp", ("localhost", 0)),
    "tcp://[::]:9000": ("tcp", ("::", 9000)),
    "tcp://[fe80::1%eth0]:65535": ("tcp", ("fe80::1%eth0", 65535)),
    "tcp://:9000": ("tcp", ("", 9000)),
    "udp://127.0.0.1:53": ("udp", ("127.0.0.1", 53)),
    "unix:chat.sock": ("unix", "chat.sock"),
    "unix:/run/a:b@c": ("unix", "/run/a:b@c"),
    "unix:///run/chat.sock": ("unix", "/run/chat.sock"),
    "unixgram:log": ("unixgram", "log"),
    "unix:@chat": ("unix", "\0chat"),
    "unixgram:@log": ("unixgram", "\0log"),
    "fd://3": ("fd", 3),
    "systemd:web": ("systemd", "web"),
    "systemd:": ("systemd", ""),
}


@pytest.mark.parametrize("text", PLACES)
def test_endpoint_names_a_place(text):
    assert Endpoint(text, *PLACES[text]) == parse_endpoint(text)


def test_endpoint_is_shown_as_it_was_written():
    assert "unix:@chat" == str(parse_endpoint("unix:@chat"))


NO_PLACES = {
    "9000": "'9000' is no endpoint: write tcp://HOST:PORT, udp://HOST:PORT, unix:PATH, "
    "unixgram:PATH, fd://N or systemd:NAME",
    "http://localhost:80": "is no endpoint",
    "tcp:localhost:80": "is no endpoint",
    "": "'' is no endpoint",
    "tcp://localhost": "has no port: write tcp://localhost:PORT, where port 0 lets",
    "udp://": "has no port: write udp://:PORT",
    "tcp://[::1]": "has no port: write tcp://[::1]:PORT",
    "tcp://::1:9000": "has an IPv6 address without brackets: write tcp://[::1]:9000",
    "tcp://localhost:": "has no valid port: '' is no number from 0 to 65535",
    "tcp://localhost:http": "has no valid port: 'http' is no number",
    "tcp://localhost:65536": "has no valid port: '65536' is no number",
    "tcp://localhost:-1": "has no valid port: '-1' is no number",
    "tcp://localhost:٣": "has no valid port: '٣' is no number",
    "tcp://localhost:80/": "has no valid port: '80/' is no number",
    "unix:": "has no path: write unix:PATH, or unix:@NAME for an abstract name",
    "unix://": "has no path",
    "unixgram:@": "has no path: write unixgram:PATH, or unixgram:@NAME",
    "fd://": "has no descriptor: write fd://N with the number of an open socket",
    "fd://-1": "has no descriptor",
    "fd://stdin": "has no descriptor",
}


@pytest.mark.parametrize("text", NO_PLACES)
def test_what_is_no_endpoint_is_told_how_to_be_one(text):
    with pytest.raises(EndpointError) as caught:
        parse_endpoint(text)
    assert str(caught.value).startswith(f"{text!r} ")
    assert NO_PLACES[text] in str(caught.value)


@pytest.mark.parametrize("prefix", ["tcp://localhost:", "fd://"])
def test_a_number_that_python_refuses_to_read_is_no_number(prefix):
    with pytest.raises(EndpointError, match="has no "):
        parse_endpoint(prefix + "9" * 5000)
