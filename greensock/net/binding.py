"""What cannot be bound is told of together with the address."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told_of(address: object, expected: str) -> Iterator[None]:
    """Name ``address`` in what is raised when a socket cannot be bound to it.

    An OSError stays the same object, and has it as its ``filename``. Other errors stay of their
    kind, and say that ``expected`` was.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = address
        raise
    except TypeError:
        raise TypeError(f"{address!r} is no address: give {expected}") from None
    except OverflowError:
        raise OverflowError(f"{address!r} has no port from 0 to 65535: give {expected}") from None
