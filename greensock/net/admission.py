"""Who may come in: at a limited rate, and so many from one address."""

from collections import Counter

from . import native
from .literals import ip_text, packed_ip


class Bucket:
    """Tokens that come at a steady rate, and of which so many are kept."""

    def __init__(self):
        self._tokens = None
        self._filled_at = 0.0

    def wait(self, rate, burst, now):
        """Seconds until there is a token; 0.0 if there is one at ``now``."""
        most = max(1, int(rate)) if burst is None else burst
        if self._tokens is None:
            self._tokens = most
        else:
            self._tokens = min(most, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        return max(0.0, (1 - self._tokens) / rate)

    def take(self):
        """Use one up."""
        if self._tokens is not None:
            self._tokens -= 1


class Peers:
    """How many connections each IP address has. Any thread may let one go."""

    def __init__(self):
        self._counts: Counter[str] = Counter()
        self._guard = native.allocate_lock()
        self._is_counting = False

    def forget_to_count(self):
        """Connections may come that nobody counts; when it matters again, all are."""
        self._is_counting = False

    def has_room_for(self, host, limit, connections):
        """Whether one more connection from ``host`` (None for no IP address) fits in.

        ``connections()`` lists those there are.
        """
        if host is None:
            return True
        with self._guard:
            self._begin_to_count(connections)
            return self._counts[host] < limit

    def counts_in(self, connection, limit, connections):
        """Count one by the address that it has now, if that fits in; whether it does.

        It may have been counted by another one, which then is over. The rest as above.
        """
        with self._guard:
            self._begin_to_count(connections)
            self._let_go(connection)
            host = host_of(connection.client_address)
            has_room = host is None or self._counts[host] < limit
            if has_room:
                self._count(connection)
            return has_room

    def _begin_to_count(self, connections):
        if not self._is_counting:
            self._is_counting = True
            for connection in connections():
                self._count(connection)
                if connection.closed_at is not None:  # it may have gone before it was counted
                    self._let_go(connection)

    def count(self, connection):
        """Count one in; to be let go."""
        with self._guard:
            self._count(connection)

    def _count(self, connection):
        host = host_of(connection.client_address)
        if connection.counted_as is None and host is not None:
            self._counts[host] += 1
            connection.counted_as = host

    def let_go(self, connection):
        """It has gone, from those there are as well."""
        with self._guard:
            self._let_go(connection)

    def _let_go(self, connection):
        host, connection.counted_as = connection.counted_as, None
        if host is not None:
            self._counts[host] -= 1
            if not self._counts[host]:
                del self._counts[host]


def host_of(client_address):
    """The IP address in a peer's address, the same for IPv4 in both notations; None without one."""
    if not isinstance(client_address, tuple) or len(client_address) < 2:
        return None
    host = client_address[0]
    if isinstance(host, str) and host.startswith("::ffff:"):
        try:
            packed = packed_ip(host)
        except ValueError:
            return host
        return ip_text(packed) if len(packed) == 4 else host
    return host
