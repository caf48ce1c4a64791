"""A tiny DNS server: knows the addresses of a few names, and nothing else.

    python examples/dns.py --model greenlet
    dig @127.0.0.1 -p 5353 chat.example
"""

import socket
import struct

from greensock import BaseRequestHandler

TABLE = {b"chat.example": "192.0.2.1", b"proxy.example": "192.0.2.2"}
TTL = 60  # seconds for which others may keep an answer
FORMAT_ERROR, NO_SUCH_NAME = 1, 3
ADDRESS = (1, 1)  # type and class of the one kind of question that is answered


def parse_question(packet):
    """The name that is asked for, its type and class, and the question's end in the packet.

    IndexError, struct.error or ValueError if it cannot be read.
    """
    labels, at = [], 12
    while length := packet[at]:
        if length > 63:
            raise ValueError("a pointer, where there is nothing yet to point to")
        start, at = at + 1, at + 1 + length
        labels.append(packet[start:at])
    return b".".join(labels).lower(), struct.unpack_from("!HH", packet, at + 1), at + 5


def answer(packet):
    """The datagram that answers a query, or None if it is no query."""
    if len(packet) < 12 or packet[2] & 0xF8:
        return None  # an answer to an answer could go on for ever
    try:
        name, kind, end = parse_question(packet)
    except (IndexError, struct.error, ValueError):
        return packet[:2] + struct.pack("!5H", 0x8000 | FORMAT_ERROR, 0, 0, 0, 0)
    records = b""
    if name in TABLE and kind == ADDRESS:
        # 0xC00C points to the name in the question.
        records = struct.pack("!3HIH", 0xC00C, *kind, TTL, 4) + socket.inet_aton(TABLE[name])
    flags = 0x8400 | (packet[2] & 1) << 8 | (0 if name in TABLE else NO_SUCH_NAME)
    return packet[:2] + struct.pack("!5H", flags, 1, bool(records), 0, 0) + packet[12:end] + records


class Resolver(BaseRequestHandler):
    """Answers one datagram."""

    def handle(self):
        packet, sock = self.request
        if reply := answer(packet):
            sock.sendto(reply, self.client_address)


if __name__ == "__main__":
    from serve import options, serve
    hint = "dig @{host} -p {port} chat.example"
    serve(Resolver, options(__doc__, port=5353), transport="udp", hint=hint)
