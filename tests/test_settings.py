"""What may be set on a server is checked before it binds, and whenever it is set."""

import gc
import http.server
import socketserver
import ssl
from math import inf, nan

import pytest

import greensock
from greensock.settings import SETTINGS, check_setting
from tests.helpers import LOCAL, MODELS, Shout, ask, descriptors, forks_beside_threads, served

pytestmark = forks_beside_threads

every_model = pytest.mark.parametrize("model", MODELS)

HUGE = 10**400  # more than a float can hold

NO_COUNT = (0, -1, 1.5, True, "10", b"1", [], {}, object)
NO_LIMIT = (0, 0.0, -1, -0.5, nan, inf, -inf, HUGE, True, False, "10", b"1", [], {}, object)
NO_TRUTH = (None, 0, 1, "yes", [])
LIMITS = (None, 1, 0.001, 2.5, 10**6)
COUNTS = (None, 1, 7, 10**9)

# By name: what is right, what is wrong, and how the error begins to say what would be right.
CASES = {
    "max_connections": (COUNTS, NO_COUNT, "a whole number, 1 or more, or None for no limit"),
    "max_connections_per_peer": (
        COUNTS,
        NO_COUNT,
        "a whole number, 1 or more, or None for no limit",
    ),
    "accept_rate": (LIMITS, NO_LIMIT, "a number per second above 0, or None"),
    "accept_burst": (COUNTS, NO_COUNT, "a whole number, 1 or more, or None for as many as"),
    "overload": (
        ("backlog", "reject", "close"),
        (None, "", "drop", "Close", b"close", 1, [], {}),
        "one of 'backlog', 'reject', 'close'",
    ),
    "overload_reply": (
        (b"", b"busy\r\n", bytearray(b"busy")),
        (None, "busy", 1, [], memoryview(b"busy")),
        "bytes, such as b'",
    ),
    "idle_timeout": (LIMITS, NO_LIMIT, "a number of seconds above 0, or None for no limit"),
    "request_timeout": (LIMITS, NO_LIMIT, "a number of seconds above 0, or None for no limit"),
    "handshake_timeout": (LIMITS, NO_LIMIT, "a number of seconds above 0, or None for no limit"),
    "send_timeout": (LIMITS, NO_LIMIT, "a number of seconds above 0, or None for no limit"),
    "send_buffer": (COUNTS, NO_COUNT, "a whole number of bytes, 1 or more, or None for no limit"),
    "slow_consumer": (("close", "drop"), (None, "", "Drop", b"drop", 1, []), "one of 'close', 'dr"),
    "drain_timeout": (
        (None, 0, 0.0, 2.5),
        (-1, -0.5, nan, inf, HUGE, True, "10", [], object),
        "a number of seconds, 0 or more, or None",
    ),
    "ssl_context": (
        (None, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)),
        (1, "cert.pem", True, []),
        "an ssl.SSLContext, a function that returns one, or None for no TLS",
    ),
    "implicit_tls": ((True, False), NO_TRUTH, "True or False"),
    "proxy_protocol": (
        (None,),  # the others need trusted_proxies
        ("", "Required", "yes", True, 2, [], {}),
        "one of 'optional', 'required', or None for no PROXY header",
    ),
    "trusted_proxies": (
        ((), [], ["10.0.0.0/8", "::1", "unix:"], {"192.0.2.1"}, frozenset(["fe80::/10"])),
        (None, "10.0.0.0/8", 1, [1], ["10.0.0.1/8"], ["localhost"], [""], [b"::1"], {"::1": 1}),
        "networks and addresses in a list, tuple or set, such as ['10.0.0.0/8', '::1', ",
    ),
    "dual_stack": ((None, True, False), (0, 1, "yes"), "True, False, or None"),
    "unix_mode": ((None, 0, 0o660), (-1, 0o1777, "660", True), "a file mode such as 0o660"),
    "unix_owner": ((None,), ("", -1, 1.5, True, []), "'user', 'user:group', 'user:'"),
    "max_workers": ((1, 1000), (None, *NO_COUNT), "a whole number, 1 or more"),
    "reuse_greenlets": ((True, False), NO_TRUTH, "True or False"),
}

PREFORK = {
    "workers": ((1, 512, "cores"), (None, 513, *NO_COUNT), "a whole number from 1 to 512, or"),
    "worker_model": (("greenlet", "thread"), (None, "fork", 1), "one of 'greenlet', 'thread'"),
    "share": (("reuseport", "listener", "balance"), (None, "evenly", 1), "one of 'reuseport', "),
    "worker_timeout": (LIMITS, NO_LIMIT, "a number of seconds above 0, or None for no limit"),
    "max_requests": (COUNTS, NO_COUNT, "a whole number, 1 or more, or None for no limit"),
    "max_requests_jitter": ((0, 7), (None, -1, 1.5, True, "1"), "a whole number, 0 or more"),
    "max_rss": (COUNTS, NO_COUNT, "a whole number of bytes, 1 or more, or None for no limit"),
    "upgrade_timeout": (LIMITS, NO_LIMIT, "a number of seconds above 0, or None for no limit"),
    "ready_lag": ((0, 0.5, 60), (None, -1, True, "1", float("inf")), "a number of seconds, 0 or"),
    "status_address": (
        (None, "0", "9100", "127.0.0.1:9100", "[::1]:0"),
        ("", "x", "65536", "::1:9", 9100, True, b"0", [], {}),
        "'PORT', 'HOST:PORT' or '[HOST]:PORT', or None for no status",
    ),
    "control_path": ((None, "ctl"), ("", "\0ctl", b"ctl", 1, []), "a path in the file system"),
}
CASES |= PREFORK
OF_ONE_MODEL = {"max_workers", "reuse_greenlets"}

every_setting = pytest.mark.parametrize("name", CASES)


def new_server(model="greenlet", kind="tcp", **attributes):
    return type("Server", (greensock.server_class(model, kind),), attributes)(LOCAL, Shout)


def says_what_came(name, value, message):
    return message.startswith(f"{name} is {value!r}; give {CASES[name][2]}")


def test_every_setting_has_its_cases():
    assert set(SETTINGS) == set(CASES)


@every_setting
def test_what_is_right_is_taken_from_the_class_and_later(name):
    with new_server() as changed:
        for value in CASES[name][0]:
            with new_server(**{name: value}) as server:
                assert value == getattr(server, name)
            setattr(changed, name, value)
            assert value == getattr(changed, name)


@pytest.mark.worldless
@every_setting
def test_the_error_says_what_came_and_what_was_expected(name):
    for value in CASES[name][1]:
        with pytest.raises(ValueError) as caught:
            check_setting(name, value)
            pytest.fail(f"{value!r} was taken")
        assert says_what_came(name, value, str(caught.value))


class Bound(Exception):
    """Somebody bound a server that should have been refused before."""


def never_bound(cls):
    def server_bind(self):
        raise Bound

    return type("NeverBound", (cls,), {"server_bind": server_bind})


@pytest.mark.parametrize("model", [*MODELS, "prefork"])
def test_a_wrong_one_on_the_class_is_found_before_anything_is_opened(model):
    bound_never = never_bound(greensock.server_class(model))
    for name in CASES.keys() - OF_ONE_MODEL - (set() if model == "prefork" else PREFORK.keys()):
        wrong = CASES[name][1][0] if name != "ssl_context" else "cert.pem"
        cls = type("Server", (bound_never,), {name: wrong})
        before = descriptors()
        with pytest.raises(ValueError) as caught:
            cls(LOCAL, Shout)
        assert says_what_came(name, wrong, str(caught.value))
        assert before >= descriptors()


STDLIB = [
    socketserver.TCPServer,
    socketserver.UDPServer,
    http.server.HTTPServer,
    http.server.ThreadingHTTPServer,
]


@pytest.mark.parametrize("base", STDLIB)
@pytest.mark.parametrize(
    "mixin", [greensock.GreenletMixIn, greensock.ThreadingMixIn, greensock.ForkingMixIn]
)
def test_over_the_standard_library_it_is_found_before_the_server_is_bound(base, mixin):
    cls = type("Server", (mixin, never_bound(base)), {"max_connections": 0})
    before = descriptors()
    with pytest.raises(ValueError, match="^max_connections is 0; give a whole number, 1 or more"):
        cls(LOCAL, http.server.BaseHTTPRequestHandler)
    gc.collect(1)  # what the standard library has opened itself
    assert before >= descriptors()


def test_a_server_without_a_socket_is_checked_before_it_serves():
    class Server(greensock.BaseServer):
        idle_timeout = -1

        def fileno(self):
            raise Bound

    with pytest.raises(ValueError, match="^idle_timeout is -1; give a number of seconds above 0"):
        Server("nowhere", Shout).serve_forever()


@every_model
def test_a_wrong_one_set_while_serving_changes_nothing(model):
    server = new_server(model, max_connections=5)
    with served(server):
        with pytest.raises(ValueError, match="^max_connections is 'many'; give a whole number"):
            server.max_connections = "many"
        assert 5 == server.max_connections
        assert b"HELLO\n" == ask(server)


def test_what_is_no_setting_may_be_anything():
    """An application's own attributes are its own, even if another model has such a setting."""
    with new_server("greenlet") as server:
        server.max_age = "old"
        assert "old" == server.max_age
    with new_server("thread", max_workers=None) as server:
        server.reuse_greenlets = "no"
        assert (None, "no") == (server.max_workers, server.reuse_greenlets)


def test_a_property_of_an_application_judges_what_is_assigned():
    """As pynetdicom's ``ssl_context`` does. What it returns is checked before the server binds."""

    class Patient(never_bound(greensock.TCPServer)):
        minutes = 5

        @property
        def idle_timeout(self):
            return self.minutes * 60

        @idle_timeout.setter
        def idle_timeout(self, words):
            self.minutes = int(words.removesuffix(" minutes"))

    with Patient(LOCAL, Shout, bind_and_activate=False) as server:
        server.idle_timeout = "7 minutes"
        assert 420 == server.idle_timeout
    with pytest.raises(ValueError, match="^idle_timeout is -60; give a number of seconds above 0"):
        type("Wrong", (Patient,), {"minutes": -1})(LOCAL, Shout)


def test_settings_of_a_class_hold_for_its_servers_and_not_for_others():
    with new_server(max_connections=3) as limited, new_server() as unlimited:
        assert (3, None) == (limited.max_connections, unlimited.max_connections)
        limited.max_connections = 4
        assert 3 == type(limited).max_connections
        del limited.max_connections
        assert 3 == limited.max_connections


def test_defaults_limit_nothing_but_handshakes_and_the_end():
    with new_server() as server:
        others = SETTINGS.keys() - PREFORK
        unlimited = {name for name in others if getattr(server, name) is None}
        assert (10, 30) == (server.handshake_timeout, server.drain_timeout)
        assert ("backlog", b"", True) == (
            server.overload,
            server.overload_reply,
            server.implicit_tls,
        )
    assert others - unlimited == {
        "drain_timeout",
        "handshake_timeout",
        "implicit_tls",
        "max_workers",
        "overload",
        "overload_reply",
        "reuse_greenlets",
        "send_buffer",
        "slow_consumer",
        "trusted_proxies",
    }


@every_model
def test_a_reply_may_be_a_bytearray(model):
    """What is sent are its bytes at that moment."""
    reply = bytearray(b"busy")
    with new_server(model, overload="reject", overload_reply=reply) as server:
        assert b"busy" == server._gs_refusal()


def test_drain_checks_the_timeout_it_is_given():
    with new_server() as server, served(server):
        with pytest.raises(ValueError, match="^drain_timeout is -1; give a number of seconds, 0"):
            server.drain(-1)
        assert b"HELLO\n" == ask(server)
