"""TLS as the settings of a server want it."""

from typing import TYPE_CHECKING, Any

from .. import events
from ..net import handover, native
from .books import Books

if TYPE_CHECKING:
    import ssl


class Certificates(Books):
    """Has the context for TLS, and makes it anew."""

    ssl_context: Any = None
    implicit_tls: bool = True

    _gs_context: "ssl.SSLContext | None" = None
    _gs_context_from: Any = None
    _gs_was_switched = False

    def reload_tls(self) -> None:
        """Have ``ssl_context`` called again; see ITLS."""
        make = self.ssl_context
        if make is None or native.is_ssl_context(make):
            raise TypeError(
                f"ssl_context is {make!r}, and there is nothing to load it from again; "
                "set a function that returns an ssl.SSLContext"
            )
        self._gs_context = self._gs_made_context(make)
        self._gs_context_from = make
        events.emit(events.TLSReloaded, self)

    def _gs_speaks_tls(self) -> bool:
        """Whether connections begin with a handshake."""
        if handover.is_tls(getattr(self, "socket", None)):
            return True
        return self._gs_context is not None and self.implicit_tls

    def _gs_may_shake_hands(self) -> bool:
        """Whether there are handshakes that may take too long."""
        return self._gs_context is not None or self._gs_was_switched or self._gs_speaks_tls()

    def _gs_made_context(self, value: Any) -> "ssl.SSLContext | None":
        if value is not None and self._gs_takes_datagrams():
            raise ValueError("ssl_context is set, but a server of datagrams speaks no TLS")
        if value is None:
            return None
        if native.is_ssl_context(value):
            return checked_context(value, "ssl_context is")
        return checked_context(_without_arguments(value)(), "ssl_context returned")

    def _gs_loaded_context(self) -> "ssl.SSLContext | None":
        """The context that ``ssl_context`` stands for, made once."""
        if self._gs_context_from != self.ssl_context:
            self._gs_context = self._gs_made_context(self.ssl_context)
            self._gs_context_from = self.ssl_context
        return self._gs_context


def checked_context(context: Any, what: str) -> "ssl.SSLContext":
    """The context; TypeError or ValueError, beginning with ``what``, if no server can use it."""
    if not native.is_ssl_context(context):
        raise TypeError(f"{what} {context!r}; give an ssl.SSLContext")
    handover.load_tls()  # rather than for its first connection, in the midst of serving
    if context.protocol.name == "PROTOCOL_TLS_CLIENT":
        raise ValueError(
            f"{what} a context for clients; make it with ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)"
        )
    return context


def _without_arguments(function: Any) -> Any:
    # A function that stands in a class has become a method, and may not know of any ``self``.
    plain = getattr(function, "__func__", function)
    from inspect import signature  # with TLS, it does not count

    try:
        first = next(iter(signature(plain).parameters.values()), None)
    except ValueError:
        return function  # a builtin, which cannot be asked
    return plain if first is None or first.default is not first.empty else function
