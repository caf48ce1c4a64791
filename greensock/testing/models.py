"""What a concurrency model promises, tried out over servers of greensock and of the stdlib."""

import socketserver
from typing import Any

from ..interfaces import IConcurrencyModel, IStreamServer
from ..servers import TCPServer, UDPServer
from .driving import connected, read_all, say
from .operations import try_operations
from .scene import Promises, Scene
from .servers import check_service, fail_once
from .trial import PATIENCE, same

_promises = Promises()

_BASES = TCPServer, UDPServer, socketserver.TCPServer, socketserver.UDPServer


def check_model(mixin: type, *, patience: float = PATIENCE) -> None:
    """Check that a mixin keeps what IConcurrencyModel promises, and with it IGreenServer.

    It is mixed into greensock's TCPServer and UDPServer, and into the standard library's, and
    drives them. What it runs in other processes than this one must be forked from here.

    ``patience``: seconds until something that should happen at once is taken not to happen.

    AssertionError says which promise was broken.
    """
    if not IConcurrencyModel.implementedBy(mixin):
        raise AssertionError(f"{mixin!r} does not declare @implementer(IConcurrencyModel)")
    for base in _BASES:
        check_model_over(base, mixin, patience)


def check_model_over(base: type, mixin: type, patience: float = PATIENCE) -> None:
    """Check that a mixin keeps what it promises over this server of greensock or the stdlib."""
    name = f"{mixin.__name__} over {base.__module__.partition('.')[0]}.{base.__name__}"
    server_class: Any = type(name, (mixin, base), {})
    served = check_service(lambda handler: server_class(("127.0.0.1", 0), handler), patience)
    _promises.try_all(*served)
    try_operations(*served)


@_promises.of(IConcurrencyModel, "process_request returns without waiting for the handler")
def _side_by_side(scene: Scene) -> None:
    with scene.serving(), connected(scene.server, scene.trial.patience) as client:
        say(client, b"hold on")
        scene.diary.wait_for("held")
        same("MEANWHILE", scene.ask("echo meanwhile"), "the answer to a second request")
        scene.gate.open()
        same(b"ON", read_all(client), "the answer to the first request")


@_promises.of(IConcurrencyModel, "nothing a handler raises ends the server")
def _survival(scene: Scene) -> None:
    scene.trace("shutdown_request")
    raised = "SystemExit", "GreenletExit", "ValueError", "MemoryError"
    with scene.serving():
        for times, name in enumerate(raised, 1):
            with connected(scene.server, scene.trial.patience) as client:
                say(client, f"raise {name}".encode())
                scene.diary.wait_for("shutdown_request", times=times)
        same("NEXT", scene.ask("echo next"), f"the answer after {', '.join(raised)}")
        scene.diary.wait_for("shutdown_request", times=len(raised) + 1)
    words = scene.diary.words()
    handled = [word for word in words if word.startswith("handle_error")]
    same(["handle_error:ValueError", "handle_error:MemoryError"], handled, "what was handled")
    same(len(raised) + 1, words.count("shutdown_request"), "requests that were shut down")


@_promises.of(IConcurrencyModel, "if process_request raises, the request is its caller's again")
def _refusal(scene: Scene) -> None:
    fail_once(scene.server, "process_request")
    scene.trace("shutdown_request")
    with scene.serving():
        with connected(scene.server, scene.trial.patience) as client:
            say(client, b"echo lost")
            scene.diary.wait_for("shutdown_request")
            same(1, len(scene.diary.words()) - 1, "calls of handle_error")
        same("NEXT", scene.ask("echo next"), "the next answer")


@_promises.of(IConcurrencyModel, "server_close waits for running handlers if block_on_close")
def _blocking_close(scene: Scene) -> None:
    scene.server.block_on_close = True
    with connected(scene.server, scene.trial.patience) as client:
        closing = _close_while_held(scene, client)
        if not closing.goes_on():
            closing.result()
            raise AssertionError("it returned while a handler was running")
        scene.gate.open()
        closing.result()
        same(1, scene.diary.words().count("handled"), "handlers that had ended by then")


@_promises.of(IConcurrencyModel, "server_close does not wait for handlers unless block_on_close")
def _prompt_close(scene: Scene) -> None:
    scene.server.block_on_close = False
    with connected(scene.server, scene.trial.patience) as client:
        _close_while_held(scene, client).result()
        same(0, scene.diary.words().count("handled"), "handlers that had ended by then")
        scene.gate.open()
        # A datagram is answered through the server's socket, which is closed by now.
        failed = [] if IStreamServer.providedBy(scene.server) else ["handle_error:OSError"]
        scene.diary.wait_for("handled", *failed)


def _close_while_held(scene: Scene, client: Any) -> Any:
    scene.begin()
    say(client, b"hold on")
    scene.diary.wait_for("held")
    return scene.trial.start(scene.server.server_close, "server_close()")
