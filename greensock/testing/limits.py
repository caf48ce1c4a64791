"""Limits and deadlines, tried out: who gets in, and who may stay for how long."""

import socket

from ..interfaces import (
    IAdmission,
    IConcurrencyModel,
    IConnectionClosed,
    IConnectionRefused,
    IDeadlines,
    IGreenServer,
    IStreamServer,
)
from .driving import connected, read_all, say, what_came
from .scene import Promises, Scene
from .trial import same

promises = Promises()

# Seconds; much more than it takes to answer.
_SHORT = 0.1

# Connections per second: none but the first, for as long as a check takes.
_HARDLY_ANY = 0.0001

_WRONG = {
    "max_connections": 0,
    "max_connections_per_peer": "many",
    "accept_rate": -1,
    "accept_burst": 0.5,
    "overload": "shrug",
    "overload_reply": "busy",
    "idle_timeout": 0,
    "request_timeout": -1,
    "handshake_timeout": "soon",
    "send_timeout": True,
    "proxy_protocol": "perhaps",
    "trusted_proxies": "10.0.0.0/8",
    "drain_timeout": -1,
}


@promises.of(IGreenServer, "a setting that is wrong is a ValueError, and changes nothing")
def _wrong_settings(scene: Scene) -> None:
    for name, value in _WRONG.items():
        before = getattr(scene.server, name)
        try:
            setattr(scene.server, name, value)
        except ValueError:
            same(before, getattr(scene.server, name), name)
        else:
            raise AssertionError(f"{name} may be {value!r}")


@promises.of(IAdmission, "accept_rate keeps those waiting who are too many, and may be changed")
def _rate(scene: Scene) -> None:
    scene.server.accept_rate = _HARDLY_ANY
    with scene.serving():
        same("FIRST", scene.ask("echo first"), "the answer")
        second = scene.waiting("echo second")
        scene.server.accept_rate = None
        same("SECOND", second.result(), "the answer after there was no limit any more")


@promises.of(IAdmission, "suspend() has newcomers wait until resume()")
def _suspension(scene: Scene) -> None:
    with scene.serving():
        scene.ask("echo it")
        scene.trial.call(scene.server.suspend, "suspend()")
        second = scene.waiting("echo second")
        scene.server.resume()
        same("SECOND", second.result(), "the answer after resume()")


@promises.of(IConcurrencyModel, "max_connections is never passed", over=IStreamServer)
def _most(scene: Scene) -> None:
    scene.server.max_connections = 1
    with scene.serving(), connected(scene.server, scene.trial.patience) as client:
        scene.hold(client)
        second = scene.waiting("echo second")
        same(1, scene.diary.words().count("handler"), "handlers at work")
        scene.gate.open()
        same("SECOND", second.result(), "the answer once there was room")


@promises.of(
    IConcurrencyModel, "who finds no room is turned away if overload says so", over=IStreamServer
)
def _overload(scene: Scene) -> None:
    scene.server.max_connections = 1
    scene.server.overload, scene.server.overload_reply = "reject", b"too many"
    with scene.serving(), scene.told(IConnectionRefused) as record:
        with connected(scene.server, scene.trial.patience) as client:
            scene.hold(client)
            same("too many", scene.ask("echo it"), "the answer to one too many")
            scene.diary.wait_for("ConnectionRefused")
            scene.gate.open()
            read_all(client)
    same(["max_connections"], [event.reason for event in record], "why any were turned away")


@promises.of(
    IConcurrencyModel, "max_connections_per_peer is kept to, for peers on IP", over=IStreamServer
)
def _most_per_peer(scene: Scene) -> None:
    if scene.server.address_family not in (socket.AF_INET, socket.AF_INET6):
        return
    scene.server.max_connections_per_peer = 1
    with scene.serving(), connected(scene.server, scene.trial.patience) as client:
        scene.hold(client)
        with connected(scene.server, scene.trial.patience) as second:
            say(second, b"echo it")
            same(b"", what_came(second), "the answer to one too many")
        scene.gate.open()
        same(b"ON", read_all(client), "the answer to the first")


@promises.of(IDeadlines, "who takes longer than a deadline is cut", over=IStreamServer)
def _deadlines(scene: Scene) -> None:
    commands = {"idle_timeout": b"half a", "request_timeout": b"half a", "send_timeout": b"pour it"}
    with scene.serving(), scene.told(IConnectionClosed) as record:
        for times, (name, command) in enumerate(commands.items(), 1):
            setattr(scene.server, name, _SHORT)
            with connected(scene.server, scene.trial.patience) as client:
                client.sendall(command)
                if name == "send_timeout":
                    client.shutdown(socket.SHUT_WR)
                scene.diary.wait_for("ConnectionClosed", times=times)
                what_came(client)
            same(name, record[-1].connection.reason, "why it was closed")
            setattr(scene.server, name, None)


@promises.of(
    IConcurrencyModel, "TLS begins in the worker, under handshake_timeout", over=IStreamServer
)
def _handshakes(scene: Scene) -> None:
    import ssl  # late, because it takes memory and is used here alone

    # Nobody gets so far as to ask for its certificate.
    scene.server.ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    patience = scene.trial.patience
    with scene.serving(), scene.told(IConnectionClosed) as record:
        with connected(scene.server, patience) as one, connected(scene.server, patience) as other:
            if not scene.server.wait_for_connections("==", 2, patience):
                raise AssertionError("a silent client kept another one waiting")
            scene.server.handshake_timeout = _SHORT
            same([b"", b""], [what_came(one), what_came(other)], "what silent clients hear")
        scene.diary.wait_for("ConnectionClosed", times=2)
    reasons = {event.connection.reason for event in record}
    same({"handshake_timeout"}, reasons, "why they were closed")
