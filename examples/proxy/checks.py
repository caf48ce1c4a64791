"""Looking after upstreams: whether they answer, before a client has to find out.

While nobody uses them and all are up, nothing is checked and nothing runs.
"""

import logging
import re

from greensock import ProxyHeader

logger = logging.getLogger("proxy")


class Checks:
    """Checks each of ``upstreams`` every ``interval`` seconds, while they are in use.

    Each is connected to; with ``path``, it is asked for that over HTTP as well, and what it answers
    must be 200 to 399. ``timeout``: seconds that a check may take. ``send_proxy``: the version of
    the PROXY header, which tells that the proxy comes for itself; None for none.
    """

    def __init__(self, upstreams, toolbox, interval, timeout=5.0, path=None, send_proxy=None):
        self._upstreams = upstreams
        self._toolbox = toolbox
        self._interval = interval
        self._timeout = timeout
        self._path = path
        self._header = b""
        if send_proxy is not None:
            self._header = bytes(ProxyHeader(None, None, version=send_proxy, is_local=True))
        self._used = [toolbox.Event() for _ in upstreams.all]
        self._ended = toolbox.Event()

    def start(self):
        """Check in tasks of the toolbox, until ``end``."""
        for upstream, used in zip(self._upstreams.all, self._used):
            self._toolbox.spawn(self._run, upstream, used)

    def note_use(self):
        """Somebody has begun to use them."""
        for used in self._used:
            if not used.is_set():
                used.set()

    def end(self):
        """Check no more; returns at once."""
        self._ended.set()
        for used in self._used:
            used.set()

    def _run(self, upstream, used):
        while used.wait() and not self._ended.is_set():
            self._upstreams.note_check(upstream, self._is_well(upstream))
            if self._ended.wait(self._interval):
                return
            used.clear()
            if self._upstreams.are_in_use():
                used.set()

    def _is_well(self, upstream):
        try:
            with self._toolbox.deadline(self._timeout):
                with self._toolbox.connect(upstream.address) as sock:
                    sock.sendall(self._header)
                    return self._path is None or self._answers(sock, upstream)
        except OSError as error:
            logger.debug("check of %s: %s", upstream.name, error)
            return False

    def _answers(self, sock, upstream):
        sock.sendall(f"GET {self._path} HTTP/1.0\r\nHost: {upstream.name}\r\n\r\n".encode())
        line = b""
        while len(line) < 12 and (data := sock.recv(12 - len(line))):
            line += data
        return re.fullmatch(rb"HTTP/1\.[0-9] [23][0-9]{2}", line) is not None
