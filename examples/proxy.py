"""A TCP port forwarder: whoever connects here talks to another server.

    python examples/proxy.py --model greenlet --to localhost:8000
    curl http://localhost:9001/

What it does is in proxy/small.py. The rest of that folder is a proxy with all that one needs to be
deployed: python -m examples.proxy --help
"""

import sys

from proxy.small import Proxy
from serve import options, serve

if __name__ == "__main__":
    given = options(__doc__, port=9001, to="localhost:8000")
    host, _, port = given.to.rpartition(":")
    if not port.isdecimal():
        sys.exit(f"--to {given.to} names no target: write HOST:PORT or [ADDRESS]:PORT")
    Proxy.target = (host.strip("[]"), int(port))
    serve(Proxy, given, hint="nc {host} {port}")
