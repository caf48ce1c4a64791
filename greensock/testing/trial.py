"""A trial: what is checked, how long it may take, and what is said of a broken promise.

Everything a candidate might never return from runs in a thread of its own, so that a check ends
whatever it is given.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..net import native
from ..net.crossing import Event
from ..net.threads import start_thread

# Seconds until something that should happen at once is taken not to happen at all.
PATIENCE = 10.0

# Seconds for something that should not happen to show itself.
SUSPICION = 0.05


# What everything says that is raised on purpose, so that it can be told from what is not.
ON_PURPOSE = "raised on purpose, for a trial"


class OnPurpose(Exception):
    """Raised on purpose, for a trial."""


@contextmanager
def unreported() -> Iterator[None]:
    """Have what is raised on purpose not shown when it ends a thread."""
    former = threading.excepthook

    def show(args: Any) -> None:
        if ON_PURPOSE not in str(args.exc_value):
            former(args)

    threading.excepthook = show
    try:
        yield
    finally:
        threading.excepthook = former


class Trial:
    """The checks of one candidate, ``subject`` in messages.

    ``raw``: whether to run it in real OS threads even in a patched process. What is not made for
    that runs in what ``threading`` calls threads there.
    """

    def __init__(self, subject: object, patience: float = PATIENCE, *, raw: bool = True) -> None:
        self.subject = subject
        self.patience = patience
        self._raw = raw

    @contextmanager
    def promise(self, text: str) -> Iterator[None]:
        """What fails in the block breaks the promise ``text``: AssertionError."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reason = error if isinstance(error, AssertionError) else repr(error)
            raise AssertionError(f"{self.subject} broke a promise: {text}\n({reason})") from error

    def start(self, function: Callable[[], Any], what: str) -> "Call":
        """Begin to call ``function`` in a thread of its own; ``what`` names it."""
        return Call(self, function, what)

    def call(self, function: Callable[[], Any], what: str) -> Any:
        """What ``function()`` returns or raises, or AssertionError if it does neither in time."""
        return self.start(function, what).result()

    def _run(self, body: Callable[[], None]) -> None:
        if self._raw or not native.is_patched():
            start_thread(body, shown_as=body, daemon=True)
        else:
            threading.Thread(target=body, daemon=True).start()


class Call:
    """A function at work in a thread of its own."""

    def __init__(self, trial: Trial, function: Callable[[], Any], what: str) -> None:
        self._patience = trial.patience
        self._what = what
        self._ended = Event()
        self._outcome: Any = None
        self._error: BaseException | None = None

        def body() -> None:
            try:
                self._outcome = function()
            except BaseException as error:
                self._error = error
            finally:
                self._ended.set()

        trial._run(body)

    def goes_on(self, seconds: float = SUSPICION) -> bool:
        """Whether it is still at work after ``seconds``."""
        return not self._ended.wait(seconds)

    def result(self) -> Any:
        """Wait for what the function returns or raises; AssertionError if it takes too long."""
        if not self._ended.wait(self._patience):
            raise AssertionError(f"{self._what} went on for {self._patience} s")
        if isinstance(self._error, Exception):
            raise self._error
        if self._error is not None:
            raise AssertionError(f"{self._what} ended by {self._error!r}")
        return self._outcome


def same(expected: object, actual: object, what: str) -> None:
    """AssertionError unless the two are equal."""
    if expected != actual:
        raise AssertionError(f"{what}: expected {expected!r}, found {actual!r}")
