"""asyncio, and uvloop in its place: streams, and a protocol."""

import asyncio
import importlib

from . import BACKLOG, CHUNK, LOCAL, TIMEOUT, announce, tls_context


async def echo(reader, writer):
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.close()


async def with_timeout(reader, writer):
    while data := await asyncio.wait_for(reader.read(CHUNK), TIMEOUT):
        writer.write(data)
        await writer.drain()
    writer.close()


async def lines(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Timeout(Echo):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.set_timer()

    def set_timer(self):
        self.timer = asyncio.get_running_loop().call_later(TIMEOUT, self.transport.abort)

    def data_received(self, data):
        self.timer.cancel()
        self.transport.write(data)
        self.set_timer()

    def connection_lost(self, error):
        self.timer.cancel()


class Lines(Echo):
    rest = b""

    def data_received(self, data):
        *whole, self.rest = (self.rest + data).split(b"\n")
        for line in whole:
            self.transport.write(line + b"\n")


class Member(Echo):
    everybody: set = set()

    def connection_made(self, transport):
        super().connection_made(transport)
        self.everybody.add(transport)
        transport.write(b"\n")

    def data_received(self, data):
        for transport in self.everybody:
            if transport is not self.transport:
                transport.write(data)

    def connection_lost(self, error):
        self.everybody.discard(self.transport)


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


class Onward(asyncio.Protocol):
    """One side of what is relayed; ``other`` is the transport of the other one.

    A side that takes no more makes the other wait.
    """

    def __init__(self, other):
        self.other = other

    def data_received(self, data):
        self.other.write(data)

    def pause_writing(self):
        self.other.pause_reading()

    def resume_writing(self):
        self.other.resume_reading()

    def eof_received(self):
        self.other.write_eof()
        return True

    def connection_lost(self, error):
        self.other.close()


class Relay(asyncio.Protocol):
    """A client whose other side is not there yet. uvloop may read although it is told to pause."""

    upstream: tuple

    def connection_made(self, transport):
        self.early = b""
        self.transport = transport
        self.connecting = asyncio.ensure_future(self.connect())

    def data_received(self, data):
        self.early += data

    async def connect(self):
        loop = asyncio.get_running_loop()
        other, _ = await loop.create_connection(lambda: Onward(self.transport), *self.upstream)
        other.write(self.early)
        self.transport.set_protocol(Onward(other))


PROTOCOLS = {"timeout": Timeout, "lines": Lines, "guarded": Lines, "fanout": Member,
             "relay": Relay}


async def main(service, style):
    loop = asyncio.get_running_loop()
    if service == "udp":
        transport, _ = await loop.create_datagram_endpoint(Datagrams, LOCAL)
        announce(transport.get_extra_info("sockname")[1])
        await loop.create_future()
    options = {"backlog": BACKLOG}
    if service == "tls":
        options["ssl"] = tls_context()
    if style == "streams":
        handler = {"timeout": with_timeout, "lines": lines, "guarded": lines}.get(service, echo)
        server = await asyncio.start_server(handler, *LOCAL, **options)
    else:
        protocol = PROTOCOLS.get(service, Echo)
        server = await loop.create_server(protocol, *LOCAL, **options)
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def serve(service, library, style, upstream=None):
    Relay.upstream = upstream
    importlib.import_module(library).run(main(service, style))
