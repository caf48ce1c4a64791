"""A proxy to be deployed: TCP forwarding to several upstreams, SOCKS 5, and HTTP.

    python -m examples.proxy --http 127.0.0.1:8080 --socks 127.0.0.1:1080
    curl --proxy http://127.0.0.1:8080 http://example.org/

README beside it says what else it can do, and what it takes.

The class of the small forwarder, proxy.py, is here as well: where there is a package, Python finds
no module of its name.
"""

from .small import Proxy

__all__ = ["Proxy"]
