"""Files over a cooperative socket: what ``rfile`` and ``wfile`` are."""

from io import BufferedReader
from socket import SocketIO
from socketserver import _SocketWriter  # type: ignore[attr-defined]

# Bytes. Lines of most protocols are shorter, and ten thousand idle connections have one each;
# longer reads go past the buffer.
BUFFER_SIZE = 512


class SocketReader(SocketIO):
    """The raw file under the buffer; as ``socket.SocketIO``, without its detours."""

    # Of each instance there is one per idle connection. What is the same for all of them is the
    # class's, and the rest has slots.
    __slots__ = ("_sock", "_recv_into", "_timeout_occurred")
    _mode = "rb"
    _reading = True
    _writing = False

    def __init__(self, sock):
        self._sock = sock
        self._recv_into = sock.recv_into
        self._timeout_occurred = False

    def readinto(self, buffer):
        """Read into ``buffer``; the number of bytes, None if it would wait and must not."""
        if self._timeout_occurred:
            # What the buffer above had gathered was lost.
            raise OSError("cannot read from timed out object")
        try:
            return self._recv_into(buffer)
        except BlockingIOError:
            return None
        except TimeoutError:
            self._timeout_occurred = True
            raise

    def close(self):
        """Let the socket go; it closes when nobody holds it any more."""
        super().close()
        self._recv_into = _raise_closed


def read_ahead(file):
    """What a BufferedReader over a connection holds already; nothing is read for it."""
    file.raw.readinto = _read_nothing  # which peek would do otherwise
    try:
        return file.peek()
    finally:
        del file.raw.readinto


def _read_nothing(buffer):
    return None


def _raise_closed(buffer):
    raise ValueError("I/O operation on closed socket.")


class SocketWriter(_SocketWriter):
    """What ``wfile`` is when it does not buffer."""

    __slots__ = ("_sock", "_sendall")

    def __init__(self, sock):
        self._sock = sock
        self._sendall = sock.sendall

    def write(self, data):
        """Send all of ``data``; return the number of bytes."""
        self._sendall(data)
        return len(data) if type(data) is bytes else memoryview(data).nbytes


def buffered_reader(sock, size):
    """A BufferedReader over a cooperative socket; a negative ``size`` leaves it to this module."""
    return BufferedReader(SocketReader(sock), BUFFER_SIZE if size < 0 else size)
