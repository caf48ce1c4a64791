"""A server under observation: what happens in it is written down, wherever it happens."""

import mmap
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

from gevent.hub import GreenletExit

from ..events import subscribe, unsubscribe
from .driving import ask, begin, read_all, say, serving
from .trial import ON_PURPOSE, Call, Trial, unreported

_EXCEPTIONS: dict[str, Any] = {
    kind.__name__: kind for kind in (ValueError, MemoryError, SystemExit, GreenletExit)
}


class Diary:
    """Words in the order they were written, by threads and by forked processes alike."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        reading, writing = os.pipe()
        self._reader = open(reading, "rb", buffering=0)
        self._writer = open(writing, "wb", buffering=0)
        self._text = ""

    def write(self, word: str) -> None:
        """Add a word, and by which process; one write, so that words do not mix."""
        with suppress(ValueError):  # it is closed, and a worker that nobody has waited for is late
            self._writer.write(f"{word} {os.getpid()}\n".encode())

    def entries(self) -> list[tuple[str, int]]:
        """All there is so far, as (word, process)."""
        while select.select([self._reader], [], [], 0)[0]:
            self._text += self._reader.read(select.PIPE_BUF).decode()
        lines = (line.split() for line in self._text.split("\n")[:-1])
        return [(word, int(process)) for word, process in lines]

    def words(self) -> list[str]:
        """All the words so far."""
        return [word for word, _ in self.entries()]

    def wait_for(self, *words: str, times: int = 1) -> None:
        """Wait until one of the words has come so often; AssertionError if it does not in time."""
        ends = monotonic() + self._patience
        while sum(word in words for word in self.words()) < times:
            left = ends - monotonic()
            if left <= 0:
                raise AssertionError(f"{words} did not come {times} times: {self.words()}")
            select.select([self._reader], [], [], left)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class Gate:
    """Holds handlers up until it is opened, in this process and in forked ones."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def open(self) -> None:
        self._memory[0] = 1

    def wait(self, toolbox: Any) -> None:
        """Wait by ``toolbox.sleep``, the one way to wait for another process in every model."""
        while not self._memory[0]:
            toolbox.sleep(0.002)


class Scene:
    """A server whose handler does as its client says: ``make(handler)`` returns the server.

    The handler understands ``echo TEXT``, ``raise NAME``, ``hold TEXT``, which answers once the
    gate is open, ``pour TEXT``, which answers without an end, and ``shutdown TEXT``.
    """

    def __init__(self, trial: Trial, make: Callable[[Any], Any]) -> None:
        self.trial = trial
        self.server = make(self._handle)
        self.diary = Diary(trial.patience)
        self.gate = Gate()
        self.server.handle_error = self._handle_error

    def __enter__(self) -> "Scene":
        return self

    def __exit__(self, *args: object) -> None:
        self.gate.open()
        closing = self.trial.start(self.server.server_close, "server_close()")
        closing.goes_on(min(1.0, self.trial.patience))
        self.diary.close()

    def serving(self) -> Any:
        """The server is served while the block runs, and closed at its end."""
        return serving(self.server, self.trial)

    def begin(self) -> Call:
        """Start serving in a thread of its own."""
        return begin(self.server, self.trial)

    def ask(self, text: str) -> str:
        """What the server answers."""
        return ask(self.server, text.encode(), self.trial.patience).decode()

    def hold(self, client: Any) -> None:
        """Have the handler of ``client`` at work until the gate is opened."""
        say(client, b"hold on")
        self.diary.wait_for("held")

    def waiting(self, text: str) -> Call:
        """The call of somebody who asks, and is not answered yet."""
        call = self.trial.start(lambda: self.ask(text), "a client")
        if not call.goes_on():
            raise AssertionError(f"{call.result()!r} was answered at once")
        return call

    def trace(self, *hooks: str) -> None:
        """Have each call of these methods of the server written down."""
        for hook in hooks:
            setattr(self.server, hook, self._traced(hook, getattr(self.server, hook)))

    @contextmanager
    def told(self, *interfaces: Any) -> Iterator[list[Any]]:
        """The events of the server of these kinds; the names of their classes are written down."""
        record: list[Any] = []

        def note(event: Any) -> None:
            if event.server is self.server:
                record.append(event)
                self.diary.write(type(event).__name__)

        for interface in interfaces:
            subscribe(interface, note)
        try:
            yield record
        finally:
            for interface in interfaces:
                unsubscribe(interface, note)

    def _traced(self, hook: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def traced(*args: Any, **kwargs: Any) -> Any:
            self.diary.write(hook)
            return method(*args, **kwargs)

        return traced

    def _handle_error(self, request: Any, client_address: Any) -> None:
        self.diary.write(f"handle_error:{type(sys.exc_info()[1]).__name__}")

    def _handle(self, request: Any, client_address: Any, server: Any) -> None:
        self.diary.write("handler")
        if isinstance(request, tuple):
            data, sock = request
            answer = self._obey(data.decode(), server)
            sock.sendto(answer.encode(), client_address)
        else:
            text = read_all(request).decode()
            if text.startswith("pour"):
                request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # it is full sooner
                while True:
                    request.sendall(bytes(65536))
            answer = self._obey(text, server)
            request.sendall(answer.encode())
        self.diary.write("handled")

    def _obey(self, text: str, server: Any) -> str:
        command, _, argument = text.partition(" ")
        if command == "raise":
            raise _EXCEPTIONS[argument](ON_PURPOSE)
        if command == "hold":
            self.diary.write("held")
            self.gate.wait(server.toolbox)
        if command == "shutdown":
            server.shutdown()
            self.diary.write("asked")
        return argument.upper()


class Promises:
    """What a contract promises beyond its names, as functions of a fresh scene."""

    def __init__(self) -> None:
        self._all: list[tuple[set[Any], str, Callable[[Scene], None]]] = []

    def of(self, contract: Any, text: str, *, over: Any = None) -> Callable[[Any], Any]:
        """Decorate a function as the trial of the promise ``text`` of ``contract``.

        ``over``: what else a server must be, for the promise to be made; None for nothing.
        """

        def note(keep: Callable[[Scene], None]) -> Callable[[Scene], None]:
            self._all.append(({contract, over} - {None}, text, keep))
            return keep

        return note

    def try_all(self, trial: Trial, make: Callable[[Any], Any], contracts: Any) -> None:
        """Try every promise of ``contracts`` on a server of its own."""
        for needed, text, keep in self._all:
            if needed <= set(contracts):
                with trial.promise(text), unreported(), Scene(trial, make) as scene:
                    keep(scene)
