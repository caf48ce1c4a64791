"""Connections that a child process handles: what it counts there can be read here."""

import mmap
from typing import Any

from .connections import Connection
from .proxy_parser import LONGEST, parse_header

_REASONS = (
    None,
    "finished",
    "failed",
    "handshake",
    "proxy_protocol",
    "max_connections_per_peer",
    "idle_timeout",
    "request_timeout",
    "handshake_timeout",
    "send_timeout",
    "kicked",
    "drain_timeout",
    "slow_consumer",
)


# Bytes of what is shared, before a PROXY header.
_NUMBERS = 12 * 8

# Where in it the reasons are.
_PARENTS_REASON = 7
_CHILDS_REASON = 11


def _shared(position, kind):
    def get(self):
        return kind(self._page[position])

    def put(self, value):
        self._page[position] = value

    return property(get, put)


class SharedConnection(Connection):
    """One whose numbers are in memory that the child shares.

    Parent and child each have a place for the reason, because between the look whether there is one
    and the noting of another the other process may have noted its own. The parent's counts: what it
    has cut the child may find to fail, but not the other way round.
    """

    __slots__ = ("_page", "_address", "_my_reason")

    def __init__(self, request, client_address, model, server=None, has_proxy=False):
        # Numbers up to 2**53 are exact.
        size = _NUMBERS + LONGEST if has_proxy else _NUMBERS
        self._page: Any = memoryview(mmap.mmap(-1, size)).cast("d")
        self._my_reason = _PARENTS_REASON
        super().__init__(request, client_address, model, server)

    received = _shared(0, int)
    sent = _shared(1, int)
    heard = _shared(2, int)
    stuck_since = _shared(3, float)
    handshake_since = _shared(4, float)
    was_told = _shared(5, bool)
    working_since = _shared(6, float)
    was_cut = _shared(8, bool)
    awaits_header = _shared(9, bool)
    _header_size = _shared(10, int)

    @property
    def client_address(self):
        header = self.proxy
        return self._address if header is None or header.source is None else header.source

    @client_address.setter
    def client_address(self, value):
        self._address = value

    @property
    def proxy(self):
        """The IProxyHeader it began with, or None."""
        size = self._header_size
        if size and super().proxy is None:
            end = _NUMBERS + size
            self._proxy = parse_header(self._page.obj[_NUMBERS:end])
        return super().proxy

    def note_proxy(self, header, data):
        end = _NUMBERS + len(data)
        self._page.obj[_NUMBERS:end] = data
        self._header_size = len(data)  # after all of it is there

    @property
    def reason(self):
        return _REASONS[int(self._page[_PARENTS_REASON] or self._page[_CHILDS_REASON])]

    @reason.setter
    def reason(self, value):
        self._page[self._my_reason] = _REASONS.index(value)

    def start_afresh(self):
        """See Job."""
        self._my_reason = _CHILDS_REASON
        super().start_afresh()
