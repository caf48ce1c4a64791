"""Networks of peers, and who is in them."""

from collections import defaultdict
from functools import lru_cache
from typing import Any

from .admission import host_of

UNIX = "unix:"
"""Stands for all peers on Unix sockets."""


class Networks:
    """Some networks; ValueError for a text that names none. ``address in networks`` tells."""

    def __init__(self, texts: Any) -> None:
        self._has_unix = UNIX in texts
        self._networks: Any = defaultdict(list)
        named = [text for text in texts if text != UNIX]
        if named:
            from ipaddress import ip_network  # it takes 0.3 MB
        for text in named:
            network = ip_network(text)
            self._networks[network.version].append(network)
        self._has_host = lru_cache(maxsize=1024)(self._has)  # a proxy comes over and over

    def __contains__(self, client_address: Any) -> bool:
        if isinstance(client_address, (str, bytes)):
            return self._has_unix
        host = host_of(client_address)
        return host is not None and self._has_host(host)

    def _has(self, host: str) -> bool:
        from ipaddress import ip_address

        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._networks[address.version])


def are_networks(value: Any) -> bool:
    """Whether ``value`` lists networks as text."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        return False
    if not all(isinstance(each, str) for each in value):
        return False  # an integer would be an address, too
    try:
        Networks(value)
    except ValueError:
        return False
    return True
