"""New certificates for new connections."""

import os
import signal

import pytest

import greensock
from greensock.interfaces import ITLSReloaded
from tests import tls
from tests.helpers import (
    LOCAL,
    MODELS,
    Echo,
    everywhere,
    forks_beside_threads,
    recorded,
    served,
    wait_until,
)

pytestmark = forks_beside_threads

every_model = pytest.mark.parametrize("model", MODELS)
several_at_once = pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])


class Files:
    """Where certificates come from that are replaced in the course of time."""

    certificate = tls.CERTIFICATE

    def load(self):
        return tls.server_context(self.certificate)


@pytest.fixture
def files():
    return Files()


def new_server(model, ssl_context, **attributes):
    attributes["ssl_context"] = ssl_context
    return type("Server", (greensock.server_class(model),), attributes)(LOCAL, Echo)


def who(server):
    """The certificate that a new client sees."""
    with tls.leaving(tls.connect(server, tls.trusting_context())) as client:
        assert_echoes(client)
        return tls.shown(client)


def assert_echoes(client):
    client.sendall(b"hello")
    assert b"hello" == client.recv(100)


@every_model
def test_new_connections_see_the_new_certificate(model, files):
    with recorded(ITLSReloaded) as record, served(new_server(model, files.load)) as server:
        assert tls.CERTIFICATE == who(server)
        files.certificate = tls.OTHER
        assert tls.CERTIFICATE == who(server)
        server.reload_tls()
        assert tls.OTHER == who(server)
    assert [server] == [event.server for event in record]


@several_at_once
def test_old_connections_go_on(model, files):
    with served(new_server(model, files.load)) as server:
        with tls.leaving(tls.connect(server)) as client:
            assert_echoes(client)
            files.certificate = tls.OTHER
            server.reload_tls()
            assert tls.OTHER == who(server)
            assert_echoes(client)
            assert tls.CERTIFICATE == tls.shown(client)


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (OSError("no certificate"), OSError),
        (None, TypeError),
        ("cert.pem", TypeError),
        (tls.client_context(), ValueError),
    ],
)
def test_a_failure_leaves_the_old_one(result, error):
    results = [tls.server_context(), result]

    def load():
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    with recorded(ITLSReloaded) as record, served(new_server("greenlet", load)) as server:
        with pytest.raises(error):
            server.reload_tls()
        assert tls.CERTIFICATE == who(server)
    assert [] == record


@pytest.mark.parametrize("context", [None, tls.server_context()], ids=["none", "context"])
def test_there_must_be_something_to_load_from(context):
    with new_server("greenlet", context) as server:
        with pytest.raises(TypeError, match="set a function that returns an ssl.SSLContext"):
            server.reload_tls()


def test_a_context_may_be_replaced_too(files):
    with served(new_server("greenlet", tls.server_context())) as server:
        assert tls.CERTIFICATE == who(server)
        server.ssl_context = tls.server_context(tls.OTHER)
        assert tls.OTHER == who(server)


@several_at_once
@everywhere
def test_a_signal_handler_may_do_it(model, where, files):
    with recorded(ITLSReloaded) as record, served(new_server(model, files.load), where) as server:
        assert tls.CERTIFICATE == who(server)
        files.certificate = tls.OTHER
        before = signal.signal(signal.SIGHUP, lambda number, frame: server.reload_tls())
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            wait_until(lambda: record)
        finally:
            signal.signal(signal.SIGHUP, before)
        assert tls.OTHER == who(server)
