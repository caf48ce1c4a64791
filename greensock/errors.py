"""Every exception greensock raises that the standard library has no name for."""


class AlreadyServing(RuntimeError):
    """``serve_forever`` was called on a server that is being served."""


class ProxyHeaderError(ValueError):
    """What came is no PROXY header; ``reason`` as IProxyHeaderRefused's."""

    def __init__(self, message: str, reason: str = "malformed") -> None:
        super().__init__(message, reason)
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[0])


class EndpointError(ValueError):
    """A text does not name a place to listen at."""


class CommandError(Exception):
    """A command line asks for what cannot be done; the text says why, and what can."""


class BusError(Exception):
    """A bus cannot do what it was asked: its server is not there, or lets nobody in."""


class BusClosed(BusError):
    """A bus, or a subscription, was closed."""


class BusOverflow(BusClosed):
    """A subscription was closed because whoever reads it was too slow."""
