"""What a Redis says, as far as a subscriber hears it: the protocol RESP3, without any I/O.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from typing import Any

# What is neither is an error, in a text of the server's.
REPLY, PUSH, ERROR = "reply", "push", "error"

# Bytes: no header of a value is longer. More without a line's end is no Redis.
_LONGEST_HEADER = 1 << 16


class _Incomplete(Exception):
    """There is more to come."""


class Parser:
    """Makes values of bytes, wherever these were cut."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[tuple[str, Any]]:
        """The values that are complete by now, each with what it is: REPLY, PUSH or ERROR.

        ValueError for what no Redis would say; nothing can be fed after that.
        """
        self._data += data
        found, at = [], 0
        try:
            while at < len(self._data):
                kind = self._data[at]
                value, at = self._value(at)
                found.append((_KINDS.get(kind, REPLY), value))
        except _Incomplete:
            pass
        del self._data[:at]
        return found

    def _value(self, at: int) -> tuple[Any, int]:
        """The value that begins there, and where the next one does."""
        data = self._data
        ends = data.find(b"\r\n", at, at + _LONGEST_HEADER)
        if ends < 0:
            if len(data) - at >= _LONGEST_HEADER or data[at] not in _BEGINNINGS:
                raise ValueError(f"this is no Redis: it says {bytes(data[at:][:40])!r}")
            raise _Incomplete
        kind, text, at = data[at], data[at + 1:ends], ends + 2
        if kind in b"$=":
            return self._bulk(int(text), at)
        if kind in b"*>~":
            return self._array(int(text), at)
        if kind == b"%"[0]:
            return self._array(2 * int(text), at)
        if kind == b":"[0]:
            return int(text), at
        if kind not in _BEGINNINGS:
            raise ValueError(f"this is no Redis: it says {bytes(data[at:][:40])!r}")
        return (None if kind == b"_"[0] else text.decode(errors="replace")), at

    def _bulk(self, length: int, at: int) -> tuple[Any, int]:
        if length < 0:
            return None, at
        ends = at + length
        if len(self._data) < ends + 2:
            raise _Incomplete
        return bytes(self._data[at:ends]), ends + 2

    def _array(self, length: int, at: int) -> tuple[Any, int]:
        if length < 0:
            return None, at
        values = []
        for _ in range(length):
            if at >= len(self._data):
                raise _Incomplete
            value, at = self._value(at)
            values.append(value)
        return values, at


_KINDS = {b">"[0]: PUSH, b"-"[0]: ERROR}
_BEGINNINGS = b"$=*>~%:_+-,#("
