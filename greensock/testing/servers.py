"""What a server promises, tried out."""

import os
from collections.abc import Callable
from typing import Any

import gevent
from zope.interface import providedBy

from ..errors import AlreadyServing
from ..interfaces import IDatagramServer, IGreenServer, ISocketServer, IStreamServer
from .contracts import check_contracts
from .driving import connected, read_all, say
from .operations import try_operations
from .scene import Promises, Scene
from .trial import ON_PURPOSE, PATIENCE, OnPurpose, Trial, same

_promises = Promises()


def check_server(factory: Callable[[Any], Any], *, patience: float = PATIENCE) -> None:
    """Check that a server keeps what the contracts promise that it declares.

    ``factory(handler)`` returns a new server with that handler, bound to an address of its own
    (port 0, say) and activated. It must provide IStreamServer or IDatagramServer; if it provides
    IGreenServer, it is held to that as well. It is called once for each promise.

    ``patience``: seconds until something that should happen at once is taken not to happen.

    AssertionError says which promise was broken.
    """
    try_operations(*check_service(factory, patience))


def check_service(factory: Callable[[Any], Any], patience: float) -> tuple[Trial, Any, set[Any]]:
    """Check that a server serves; return the trial, its factory and its contracts.

    What it promises beyond that, so that it can be left running, remains to be checked.
    """
    probe = factory(lambda request, client_address, server: None)
    contracts = set(providedBy(probe).flattened())
    trial = Trial(type(probe).__name__, patience, raw=IGreenServer in contracts)
    with trial.promise("it has what its contracts ask for"):
        probe.server_close()
        check_contracts(probe)
        if not contracts & {IStreamServer, IDatagramServer}:
            raise AssertionError(f"{probe!r} is neither IStreamServer nor IDatagramServer")
    _promises.try_all(trial, factory, contracts)
    return trial, factory, contracts


@_promises.of(ISocketServer, "every request is handled, one after another")
def _one_after_another(scene: Scene) -> None:
    with scene.serving():
        for word in "one", "two":
            same(word.upper(), scene.ask(f"echo {word}"), "the answer")


@_promises.of(ISocketServer, "the hooks are called in their order, each once for a request")
def _hooks_in_order(scene: Scene) -> None:
    first = ["get_request", "verify_request", "process_request"]
    rest = ["finish_request", "handler", "handled", "shutdown_request", "close_request"]
    scene.trace(*first, "finish_request", "shutdown_request", "close_request")
    with scene.serving():
        scene.ask("echo it")
    entries = scene.diary.entries()
    same(first, [word for word, _ in entries[:3]], "on the way to the worker")
    worker = dict(entries).get("finish_request")
    # It may ask for more requests meanwhile, and a process has the request in two places.
    its = [word for word, where in entries[3:] if where == worker and word != "get_request"]
    same(rest, its, "in the worker")


@_promises.of(ISocketServer, "a request that verify_request refuses is shut down unhandled")
def _refused_requests(scene: Scene) -> None:
    answers = [False, True]
    scene.server.verify_request = lambda request, client_address: answers.pop(0)
    scene.trace("shutdown_request")
    with scene.serving():
        with connected(scene.server, scene.trial.patience) as client:
            say(client, b"echo refused")
            scene.diary.wait_for("shutdown_request")
            same(["shutdown_request"], scene.diary.words(), "what happened")
        same("GRANTED", scene.ask("echo granted"), "the next answer")


@_promises.of(
    ISocketServer,
    "what a handler raises goes to handle_error, inside the except, then comes shutdown_request",
)
def _failing_handlers(scene: Scene) -> None:
    scene.trace("shutdown_request")
    with scene.serving():
        with connected(scene.server, scene.trial.patience) as client:
            say(client, b"raise ValueError")
            scene.diary.wait_for("shutdown_request")
        expected = ["handler", "handle_error:ValueError", "shutdown_request"]
        same(expected, scene.diary.words(), "what happened")
        same("NEXT", scene.ask("echo next"), "the next answer")


@_promises.of(ISocketServer, "shutdown() ends serve_forever, which may be called again then")
def _shutdown_and_again(scene: Scene) -> None:
    for word in "one", "two":
        run = scene.begin()
        same(word.upper(), scene.ask(f"echo {word}"), "the answer")
        scene.trial.call(scene.server.shutdown, "shutdown()")
        run.result()


@_promises.of(ISocketServer, "'with server' gives the server, and closes it at the end")
def _leaving_the_block(scene: Scene) -> None:
    same(scene.server, scene.server.__enter__(), "what __enter__ returns")
    scene.trial.call(lambda: scene.server.__exit__(None, None, None), "__exit__()")
    same(-1, scene.server.socket.fileno(), "the socket's descriptor")


@_promises.of(ISocketServer, "handle_request handles one request, or calls handle_timeout")
def _one_request(scene: Scene) -> None:
    scene.server.timeout = scene.trial.patience
    scene.trace("handle_timeout")
    with connected(scene.server, scene.trial.patience) as client:
        say(client, b"echo one")
        scene.trial.call(scene.server.handle_request, "handle_request()")
        same(b"ONE", read_all(client), "the answer")
    same(0, scene.diary.words().count("handle_timeout"), "timeouts, when there was a request")
    scene.server.timeout = 0.01
    scene.trial.call(scene.server.handle_request, "handle_request()")
    same(1, scene.diary.words().count("handle_timeout"), "timeouts, when there was no request")


@_promises.of(ISocketServer, "service_actions is called on every turn, even without requests")
def _turns(scene: Scene) -> None:
    scene.trace("service_actions")
    with scene.serving():
        scene.diary.wait_for("service_actions", times=3)


@_promises.of(IStreamServer, "a connection is ended, both ways, after its handler")
def _ended_connections(scene: Scene) -> None:
    scene.trace("shutdown_request")
    with scene.serving(), connected(scene.server, scene.trial.patience) as client:
        say(client, b"echo it")
        same(b"IT", read_all(client), "what came before the end")
        scene.diary.wait_for("shutdown_request")


@_promises.of(IDatagramServer, "datagrams come with a socket for answers, which stays open")
def _datagrams(scene: Scene) -> None:
    with scene.serving(), connected(scene.server, scene.trial.patience) as client:
        for word in b"one", b"two":
            client.send(b"echo " + word)
            same(word.upper(), client.recv(65535), "the answer")


@_promises.of(IGreenServer, "any thread may serve, and so may a greenlet among others")
def _anywhere(scene: Scene) -> None:
    def be_client() -> str:
        try:
            return scene.ask("echo it")
        finally:
            scene.server.shutdown()

    serve = scene.server.serve_forever
    for run in serve, lambda: gevent.spawn(serve).get():
        client = scene.trial.start(be_client, "a client")
        with gevent.Timeout(scene.trial.patience):
            run()
        same("IT", client.result(), "the answer")


@_promises.of(IGreenServer, "shutdown() in a handler asks and returns")
def _shutdown_in_handler(scene: Scene) -> None:
    run = scene.begin()
    same("SOON", scene.ask("shutdown soon"), "the answer")
    if ("asked", os.getpid()) in scene.diary.entries():  # otherwise it asked another process
        run.result()
    scene.trial.call(scene.server.shutdown, "shutdown()")
    run.result()


@_promises.of(IGreenServer, "shutdown() may be called any number of times")
def _shutdown_often(scene: Scene) -> None:
    for _ in range(2):
        run = scene.begin()
        same("IT", scene.ask("echo it"), "the answer")
        calls = [scene.trial.start(scene.server.shutdown, "shutdown()") for _ in range(2)]
        for call in calls:
            call.result()
        run.result()
        scene.trial.call(scene.server.shutdown, "shutdown() after the end")


@_promises.of(IGreenServer, "shutdown() before serve_forever makes that return at once")
def _shutdown_before(scene: Scene) -> None:
    scene.trial.call(scene.server.shutdown, "shutdown()")
    scene.trial.call(scene.server.serve_forever, "serve_forever()")


@_promises.of(IGreenServer, "serve_forever raises AlreadyServing while it is being served")
def _served_already(scene: Scene) -> None:
    with scene.serving():
        scene.ask("echo it")
        try:
            scene.trial.call(scene.server.serve_forever, "a second serve_forever()")
        except AlreadyServing:
            return
        raise AssertionError("it returned")


@_promises.of(IGreenServer, "server_close() ends serve_forever, which then raises ValueError")
def _closed_while_serving(scene: Scene) -> None:
    run = scene.begin()
    scene.ask("echo it")
    scene.trial.call(scene.server.server_close, "server_close()")
    run.result()
    try:
        scene.trial.call(scene.server.serve_forever, "serve_forever() of a closed server")
    except ValueError:
        return
    raise AssertionError("it returned")


@_promises.of(IGreenServer, "what verify_request or get_request raises costs one connection")
def _failing_hooks(scene: Scene) -> None:
    for hook in "verify_request", "get_request":
        fail_once(scene.server, hook)
    with scene.serving():
        with connected(scene.server, scene.trial.patience) as client:
            say(client, b"echo lost")
            scene.diary.wait_for("handle_error:OnPurpose")
        same("NEXT", scene.ask("echo next"), "the next answer")


def fail_once(server: Any, hook: str) -> None:
    method = getattr(server, hook)

    def fail(*args: Any) -> Any:
        setattr(server, hook, method)
        raise OnPurpose(ON_PURPOSE)

    setattr(server, hook, fail)
