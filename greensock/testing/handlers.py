"""What a request handler promises, tried out in real servers under every model."""

import socket
import sys
from collections.abc import Callable
from typing import Any

from ..combos import (
    ForkingTCPServer,
    ForkingUDPServer,
    GreenletTCPServer,
    GreenletUDPServer,
    ThreadingTCPServer,
    ThreadingUDPServer,
)
from ..factories import as_factory, is_placeholder
from ..interfaces import IDatagramRequestHandler, IRequestHandler
from ..servers import TCPServer, UDPServer
from .contracts import check_contracts
from .driving import connected, hang_up, read_all, say, serving
from .scene import Diary
from .trial import ON_PURPOSE, PATIENCE, OnPurpose, Trial, same

Talk = Callable[[socket.socket], Any]

_STREAM: list[Any] = [TCPServer, GreenletTCPServer, ThreadingTCPServer, ForkingTCPServer]
_DATAGRAM: list[Any] = [UDPServer, GreenletUDPServer, ThreadingUDPServer, ForkingUDPServer]


def say_nothing(client: socket.socket) -> bytes:
    """Be a client with nothing to say: what comes until the end, or the answer to one datagram."""
    say(client, b"")
    return read_all(client)


def check_handler_factory(
    factory: Any,
    talk: Talk = say_nothing,
    *,
    datagram: bool = False,
    patience: float = PATIENCE,
) -> None:
    """Check that whatever handles requests does so, and alike, under every model.

    ``factory``: a handler class, or a function; see IRequestHandlerFactory.

    ``talk(client)``: has one conversation with it through a connected socket, and returns what
    should be the same under every model, or raises what is wrong.

    ``datagram``: whether it handles datagrams.

    ``patience``: seconds until something that should happen at once is taken not to happen.

    AssertionError says which promise was broken.
    """
    trial = Trial(_name_of(factory), patience)
    with trial.promise("a server takes it as its handler"):
        if is_placeholder(as_factory(factory)):
            raise AssertionError(f"{factory!r} takes no arguments")
    outcomes = {}
    for server_class in _DATAGRAM if datagram else _STREAM:
        with trial.promise(f"it handles requests of {server_class.__name__}"):
            outcomes[server_class.model] = _converse(trial, server_class, factory, talk)
    with trial.promise("a conversation is the same under every model"):
        first, *others = outcomes
        for model in others:
            same(outcomes[first], outcomes[model], f"{model}, compared with {first}")


def check_handler(
    handler_class: type,
    talk: Talk = say_nothing,
    *,
    patience: float = PATIENCE,
) -> None:
    """Check that a class keeps what IRequestHandler promises, and what else it declares.

    It is given connections, or datagrams if it declares IDatagramRequestHandler. The arguments
    are those of ``check_handler_factory``, which this does as well.

    AssertionError says which promise was broken.
    """
    trial = Trial(handler_class.__name__, patience)
    with trial.promise("it declares to be an IRequestHandler"):
        if not IRequestHandler.implementedBy(handler_class):
            raise AssertionError("derive it from one that is, or use @implementer")
    datagram = IDatagramRequestHandler.implementedBy(handler_class)
    for text, fails, expected in _LIVES:
        with trial.promise(text):
            same(expected, _live(trial, handler_class, datagram, talk, fails), "what happened")
    check_handler_factory(handler_class, talk, datagram=datagram, patience=patience)


_LIVES = [
    (
        "its constructor calls setup, handle and finish, and leaves the request to the server",
        None,
        ["setup", "handle", "finish", "open"],
    ),
    (
        "finish is called even if handle raises, and what was raised goes to the server",
        "handle",
        ["setup", "handle", "finish", "handle_error:OnPurpose", "open"],
    ),
    (
        "if setup raises, neither handle nor finish is called",
        "setup",
        ["setup", "handle_error:OnPurpose", "open"],
    ),
]


def _live(trial: Trial, handler_class: Any, datagram: bool, talk: Talk, fails: Any) -> list[str]:
    """The words of one request's life, in which ``setup`` or ``handle`` may fail."""
    diary = Diary(trial.patience)
    handlers: list[Any] = []

    def step(name: str) -> Callable[[Any], None]:
        def method(self: Any) -> None:
            diary.write(name)
            if name == fails:
                raise OnPurpose(ON_PURPOSE)
            getattr(super(handler, self), name)()
            handlers.append(self)

        return method

    steps = {name: step(name) for name in ("setup", "handle", "finish")}
    handler = type(handler_class.__name__, (handler_class,), steps)
    server = (UDPServer if datagram else TCPServer)(("127.0.0.1", 0), handler)
    _observe(server, diary)
    try:
        with serving(server, trial), connected(server, trial.patience) as client:
            if fails is None:
                talk(client)
                hang_up(client)
            else:
                say(client, b"")
            diary.wait_for("open", "closed")
        if fails is None:
            check_contracts(handlers[-1])
        return diary.words()
    finally:
        diary.close()


def _observe(server: Any, diary: Diary) -> None:
    shutdown_request = server.shutdown_request

    def observe(request: Any) -> None:
        sock = request[1] if isinstance(request, tuple) else request
        diary.write("closed" if sock.fileno() == -1 else "open")
        shutdown_request(request)

    server.shutdown_request = observe
    server.handle_error = lambda request, client_address: diary.write(
        f"handle_error:{type(sys.exc_info()[1]).__name__}"
    )


def _converse(trial: Trial, server_class: Any, factory: Any, talk: Talk) -> Any:
    diary = Diary(trial.patience)
    server = server_class(("127.0.0.1", 0), factory)
    _observe(server, diary)
    try:
        with serving(server, trial), connected(server, trial.patience) as client:
            outcome = talk(client)
            hang_up(client)
            diary.wait_for("open", "closed")
        same(["open"], diary.words(), "the request, when its handler had ended")
        return outcome
    finally:
        diary.close()


def _name_of(factory: Any) -> str:
    return getattr(factory, "__qualname__", repr(factory))
