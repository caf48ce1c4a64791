"""A server class is chosen by the names of its model and its transport."""

import pytest

import greensock
from greensock import MODELS, server_class

CLASSES = {
    ("greenlet", "tcp"): greensock.GreenletTCPServer,
    ("greenlet", "udp"): greensock.GreenletUDPServer,
    ("greenlet", "unix"): greensock.GreenletUnixStreamServer,
    ("greenlet", "unixgram"): greensock.GreenletUnixDatagramServer,
    ("thread", "tcp"): greensock.ThreadingTCPServer,
    ("thread", "udp"): greensock.ThreadingUDPServer,
    ("thread", "unix"): greensock.ThreadingUnixStreamServer,
    ("thread", "unixgram"): greensock.ThreadingUnixDatagramServer,
    ("fork", "tcp"): greensock.ForkingTCPServer,
    ("fork", "udp"): greensock.ForkingUDPServer,
    ("fork", "unix"): greensock.ForkingUnixStreamServer,
    ("fork", "unixgram"): greensock.ForkingUnixDatagramServer,
    ("inline", "tcp"): greensock.TCPServer,
    ("inline", "udp"): greensock.UDPServer,
    ("inline", "unix"): greensock.UnixStreamServer,
    ("inline", "unixgram"): greensock.UnixDatagramServer,
}


@pytest.mark.parametrize("model, transport", CLASSES)
def test_two_names_choose_a_class(model, transport):
    assert CLASSES[model, transport] is server_class(model, transport)


def test_models_are_the_names_that_servers_bear():
    assert list(MODELS) == [server_class(model).model for model in MODELS]


def test_an_unknown_model_is_answered_with_the_known_ones():
    with pytest.raises(ValueError) as caught:
        server_class("greenlets", "tcp")
    expected = "'greenlets' is no concurrency model: "
    names = "'greenlet', 'thread', 'fork', 'prefork' or 'inline'"
    assert f"{expected}choose {names}" == str(caught.value)


def test_an_unknown_transport_is_answered_with_the_known_ones():
    with pytest.raises(ValueError) as caught:
        server_class("greenlet", "sctp")
    expected = "'sctp' is no transport: choose 'tcp', 'udp', 'unix' or 'unixgram'"
    assert expected == str(caught.value)
