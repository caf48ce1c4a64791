"""A file to read from a cooperative socket: what ``rfile`` is."""

from io import BufferedReader
from socket import SocketIO

# Bytes. Lines of most protocols are shorter, and ten thousand idle connections have one each;
# longer reads go past the buffer.
BUFFER_SIZE = 1024


class SocketReader(SocketIO):
    """The raw file under the buffer; as ``socket.SocketIO``, without its detours."""

    def __init__(self, sock):
        super().__init__(sock, "r")
        self._timeout_occurred = False
        self._recv_into = sock.recv_into

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


def _raise_closed(buffer):
    raise ValueError("I/O operation on closed socket.")


def buffered_reader(sock, size):
    """A BufferedReader over a cooperative socket; a negative ``size`` leaves it to this module."""
    return BufferedReader(SocketReader(sock), BUFFER_SIZE if size < 0 else size)
