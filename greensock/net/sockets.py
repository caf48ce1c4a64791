"""The cooperative socket: a gevent socket that reads and writes through a Channel.

Whatever works with a gevent socket works with it. What gevent checks is checked here as well: two
greenlets reading one socket raise ConcurrentObjectUseError, and closing it in one greenlet raises
EBADF in the other.
"""

from operator import attrgetter
from socket import AF_INET, MSG_DONTWAIT, MSG_PEEK, SHUT_RD, SHUT_WR, SOCK_STREAM
from weakref import ref

from gevent import get_hub
from gevent.socket import cancel_wait_ex, getdefaulttimeout, socket

from .channel import Channel
from .files import buffered_reader
from .meters import received, sent, waiting_to_send
from .outbox import finish_outbox


class CooperativeSocket(socket):
    """A ``gevent.socket.socket``, made around an open descriptor or a new one."""

    __slots__ = ("_channel", "recv", "recv_into", "sendall")

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        # Not gevent's constructor, which would make both watchers. Most connections never wait
        # to write.
        self._closed = False
        self._io_refs = 0
        if fileno is None:
            family = AF_INET if family == -1 else family
            type = SOCK_STREAM if type == -1 else type
            proto = 0 if proto == -1 else proto
        self._sock = sock = self._gevent_sock_class(family, type, proto, fileno)
        sock.setblocking(False)
        self.hub = get_hub()
        channel = Channel(self.hub, sock, getdefaulttimeout())
        self._channel = channel
        self.recv = channel.recv
        self.recv_into = channel.recv_into
        self.sendall = channel.sendall
        # No destructor, in which a Ctrl-C would be lost: Python calls the handlers of signals as
        # it enters one, and only reports what they raise there. This is forgotten by close().
        channel.owner = ref(self, channel.close)

    meter = property(
        attrgetter("_channel.meter"),  # in C, because every connection is asked several times
        lambda self, meter: self._channel.count_with(meter),
        doc="The Meter that counts what goes through it.",
    )

    def rest(self, who):
        """Let nobody wait: see ``Channel.rest``."""
        self._channel.rest(who)

    def lend(self):
        """Its watchers, to read and to write by, and a function that gives them back.

        Nobody can read it meanwhile.
        """
        return self._channel.lend()

    def gettimeout(self):
        """The limit for each operation in seconds, None for none, 0.0 to never wait."""
        return self._channel.timeout

    def settimeout(self, howlong):
        """Limit each operation to ``howlong`` seconds; see ``socket.settimeout``."""
        super().settimeout(howlong)
        self._channel.timeout = None if howlong is None else float(howlong)

    # gevent reads and sets it in places of its own.
    timeout = property(gettimeout, settimeout)

    @property
    def _read_event(self):
        return self._channel.watcher

    @property
    def _write_event(self):
        return self._channel.writer

    # What the channel does not do itself.

    @property
    def turn(self):
        """Whose turn it is to write."""
        return self._channel

    def send(self, data, flags=0):
        """Send some of ``data``; see ``socket.send``."""
        count = self._channel.write(self._sock.send, data, flags)
        sent(self._channel.meter, count)
        return count

    def sendto(self, *args):
        """Send some of ``data``, to an address; see ``socket.sendto``."""
        count = self._channel.write(self._sock.sendto, *args)
        sent(self._channel.meter, count)
        return count

    def sendmsg(self, buffers, ancdata=(), flags=0, address=None):
        """Send some of several buffers; see ``socket.sendmsg``."""
        count = self._channel.write(
            self._sock.sendmsg,
            list(buffers),
            list(ancdata),  # it may take more than one try
            flags,
            address,
            waits=not flags & MSG_DONTWAIT,
        )
        sent(self._channel.meter, count)
        return count

    def recvfrom(self, bufsize, flags=0):
        """Read, and tell from where; see ``socket.recvfrom``."""
        data, address = super().recvfrom(bufsize, flags)
        self._count(len(data), flags)
        return data, address

    def recvfrom_into(self, buffer, nbytes=0, flags=0):
        """Read into ``buffer``, and tell from where; see ``socket.recvfrom_into``."""
        count, address = super().recvfrom_into(buffer, nbytes, flags)
        self._count(count, flags)
        return count, address

    def recvmsg(self, bufsize, ancbufsize=0, flags=0):
        """Read with ancillary data; see ``socket.recvmsg``."""
        message = super().recvmsg(bufsize, ancbufsize, flags)
        self._count(len(message[0]), flags)
        return message

    def recvmsg_into(self, buffers, ancbufsize=0, flags=0):
        """Read into several buffers; see ``socket.recvmsg_into``."""
        message = super().recvmsg_into(buffers, ancbufsize, flags)
        self._count(message[0], flags)
        return message

    def _count(self, count, flags):
        if not flags & MSG_PEEK:
            received(self._channel.meter, count)

    def makefile(self, mode="r", buffering=None, **kwargs):
        """A file over the socket; see ``socket.makefile``."""
        if mode not in ("rb", "br") or buffering == 0 or kwargs:
            return super().makefile(mode, buffering, **kwargs)
        self._io_refs += 1
        return buffered_reader(self, -1 if buffering is None else buffering)

    def shutdown(self, how):
        """Shut one side of the connection, or both; see ``socket.shutdown``."""
        channel = self._channel
        finish_outbox(channel.meter, how)
        if self._sock and not channel.is_quiet:
            reader, writer = channel.watchers
            if how != SHUT_WR and channel.is_waited_for:
                self.hub.cancel_wait(reader, cancel_wait_ex)
            if how != SHUT_RD:
                self.hub.cancel_wait(writer, cancel_wait_ex)
        self._sock.shutdown(how)

    def _wait(self, watcher, timeout_exc=None):
        if watcher is self._channel.watcher:
            self._channel.wait(timeout_exc)
        else:
            with waiting_to_send(self._channel.meter):
                super()._wait(watcher, timeout_exc)

    def _drop_events_and_close(self, closefd=True):
        channel = self._channel
        channel.close()
        then = self._drop_ref_on_close if closefd else id
        if not self.hub.loop:
            if closefd:
                self._sock.close()
        elif channel.is_quiet:
            then(self._sock)
        else:
            self.hub.cancel_waits_close_and_then(
                channel.watchers, cancel_wait_ex, then, self._sock
            )
