"""What is told of a server at work, and its end, tried out."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..handlers import BaseRequestHandler
from ..interfaces import (
    IConcurrencyModel,
    IConnectionClosed,
    IConnectionOpened,
    IDrainEnded,
    IDraining,
    IDrainStarted,
    IGreenServer,
    IInspection,
    IPreforkServer,
    IRequestFailed,
    IServerStarted,
    IServerStopped,
    IStreamServer,
)
from . import limits
from .contracts import check_contracts
from .driving import connected, read_all, say, what_came
from .scene import Promises, Scene
from .trial import Trial, same

_telling, _ending = Promises(), Promises()


def try_operations(trial: Trial, make: Callable[[Any], Any], contracts: Any) -> None:
    """Try what servers promise so that they can be left running; what takes longest comes last.

    Of a server with worker processes it holds in each of them, and cannot be seen from here.
    """
    if IPreforkServer in contracts:
        return
    for promises in _telling, limits.promises, _ending:
        promises.try_all(trial, make, contracts)


@_telling.of(IGreenServer, "events tell of its beginning, of every connection, and of its end")
def _events(scene: Scene) -> None:
    kinds = IServerStarted, IConnectionOpened, IConnectionClosed, IServerStopped
    with scene.told(*kinds) as record:
        with scene.serving():
            scene.ask("echo it")
            if IStreamServer.providedBy(scene.server):
                scene.diary.wait_for("ConnectionClosed")
        scene.diary.wait_for("ServerStopped")
    names = [type(event).__name__ for event in record]
    if not IStreamServer.providedBy(scene.server):
        same(["ServerStarted", "ServerStopped"], names, "the events")
        return
    expected = ["ServerStarted", "ConnectionOpened", "ConnectionClosed", "ServerStopped"]
    same(expected, names, "the events")
    same(record[1].connection, record[2].connection, "the connection that was closed")
    closed = record[2].connection
    found = closed.state, closed.reason, closed.received, closed.sent
    same(("closed", "finished", len("echo it"), len("IT")), found, "what is told of it")


@_telling.of(IConcurrencyModel, "an event tells of what is no Exception, and was raised")
def _failures(scene: Scene) -> None:
    with scene.serving(), scene.told(IRequestFailed):
        with connected(scene.server, scene.trial.patience) as client:
            say(client, b"raise SystemExit")
            scene.diary.wait_for("RequestFailed")


@_telling.of(IDraining, "wait_for_connections() tells whether they fit in time", over=IStreamServer)
def _counted(scene: Scene) -> None:
    wait = scene.server.wait_for_connections
    with scene.serving():
        with connected(scene.server, scene.trial.patience) as client:
            scene.hold(client)
            same(True, wait("==", 1, scene.trial.patience), "one, while one is there")
            same(False, wait("<", 1, 0.01), "less than one, while one is there")
            scene.gate.open()
        same(True, wait("==", 0, scene.trial.patience), "none, when it has left")


@_telling.of(IInspection, "connections tells who is there, and kick() ends one", over=IStreamServer)
def _looking_on(scene: Scene) -> None:
    server = scene.server
    with scene.serving(), connected(server, scene.trial.patience) as client:
        client.sendall(b"half a")
        scene.diary.wait_for("handler")
        (connection,) = server.connections
        check_contracts(connection)
        found = connection.client_address, connection.state, connection.model
        same((client.getsockname(), "open", server.model), found, "what is told of it")
        same(True, server.kick(connection), "whether it could be kicked")
        same(b"", what_came(client), "what the client heard")
        server.wait_for_connections("==", 0, scene.trial.patience)
        same(([], False), (server.connections, server.kick(connection)), "what is left of it")
        same(("closed", "kicked"), (connection.state, connection.reason), "what it tells itself")


@_ending.of(IDraining, "drain() serves who is connected, no newcomers", over=IStreamServer)
def _drain(scene: Scene) -> None:
    run = scene.begin()
    scene.ask("echo it")
    scene.trial.call(scene.server.suspend, "suspend()")  # so that they wait in the queue
    patience = scene.trial.patience
    with connected(scene.server, patience) as one, connected(scene.server, patience) as other:
        with scene.told(IDrainStarted, IDrainEnded) as record:
            for client in one, other:
                say(client, b"echo it")
            same([], scene.trial.call(scene.server.drain, "drain()"), "who was cut")
        same([b"IT", b"IT"], [read_all(one), read_all(other)], "the answers to those in the queue")
    run.result()
    same(["DrainStarted", "DrainEnded"], [type(event).__name__ for event in record], "the events")
    with suppress(ConnectionRefusedError, FileNotFoundError):
        scene.ask("echo it")
        raise AssertionError("a newcomer was answered")


@_ending.of(IDraining, "drain() has the draining() of handlers called", over=IStreamServer)
def _told_handlers(scene: Scene) -> None:
    diary = scene.diary

    class Told(BaseRequestHandler):
        is_told = False

        def handle(self) -> None:
            diary.write("held")
            while not self.is_told:
                self.toolbox.sleep(0.002)

        def draining(self) -> None:
            self.is_told = True

    scene.server.RequestHandlerClass = Told
    run = scene.begin()
    with connected(scene.server, scene.trial.patience) as client:
        client.sendall(b"it")
        diary.wait_for("held")
        seconds = scene.trial.patience / 2
        cut = scene.trial.call(lambda: scene.server.drain(seconds), f"drain({seconds})")
        same([], cut, "who was cut, although told")
    run.result()


@_ending.of(IDraining, "drain() cuts those still at work, and returns them", over=IStreamServer)
def _drain_by_force(scene: Scene) -> None:
    run = scene.begin()
    with connected(scene.server, scene.trial.patience) as client:
        client.sendall(b"half a")
        scene.diary.wait_for("handler")
        cut = scene.trial.call(lambda: scene.server.drain(0), "drain(0)")
        same(["drain_timeout"], [connection.reason for connection in cut], "why any were cut")
        same(b"", what_came(client), "what the client heard")
    run.result()
