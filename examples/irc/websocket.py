"""A WebSocket that carries IRC as IRCv3 has it: every message is one line, without its CRLF.

Rule: no I/O here. What the peer has sent goes in; lines, and bytes to send, come out.
"""

from functools import lru_cache

from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason, FrameProtocol

from .wire import LONGEST

# What a client may ask for besides, "binary.ircv3.net", would bring bytes that are no text.
SUBPROTOCOL = "text.ircv3.net"


@lru_cache(64)  # what many hear is framed once
def frames(lines: bytes) -> bytes:
    """The bytes that bring a client ``lines``, each with its CR LF. Any thread may call it."""
    framing = _framing()
    texts = lines.decode(errors="replace").split("\r\n")[:-1]
    return b"".join(framing.send_data(text) for text in texts)


def _framing() -> FrameProtocol:
    # Not the connection's own: other threads may have something to say as well.
    return FrameProtocol(client=False, extensions=[])


class WebSocket:
    """The server's end, after the handshake. ``is_over``: whether nothing more is to be said."""

    def __init__(self) -> None:
        self.is_over = False
        self._connection = Connection(ConnectionType.SERVER)
        self._text = ""

    def receive(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The lines, bytes without CR LF, that ``data`` has brought to their end, and the answer.

        The answer is bytes to be sent. If it is a goodbye, ``is_over`` is True.
        """
        lines: list[bytes] = []
        answer = b""
        if self.is_over:
            return lines, answer
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, Message):
                answer += self._hear(event, lines)
            elif isinstance(event, Ping):
                answer += _framing().pong(event.payload)
            elif isinstance(event, CloseConnection):  # or else what came is no WebSocket
                answer += self.close(event.code, event.reason)
            if self.is_over:
                break
        return lines, answer

    def _hear(self, message: Message, lines: list[bytes]) -> bytes:
        """Take one more piece of a message; the goodbye, if it is wrong."""
        if not isinstance(message, TextMessage):
            return self.close(CloseReason.UNSUPPORTED_DATA, "only text is understood here")
        self._text += message.data
        if len(self._text.encode()) > LONGEST:
            reason = f"a line of IRC has at most {LONGEST} bytes"
            return self.close(CloseReason.MESSAGE_TOO_BIG, reason)
        if message.message_finished:
            # One, unless the client has ended it or does not keep to the rules.
            lines += filter(None, self._text.encode().split(b"\n"))
            self._text = ""
        return b""

    def close(self, code: int, reason: str | None = "") -> bytes:
        """The bytes that say goodbye, or answer the peer's; none if that was done already.

        Any thread may call it.
        """
        if self.is_over:
            return b""
        self.is_over = True
        return bytes(_framing().close(code, reason))
