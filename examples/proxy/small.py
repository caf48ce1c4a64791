"""The small forwarder: one target, and nothing else. ``examples/proxy.py`` runs it."""

import sys

from greensock import BaseRequestHandler, relay


class Proxy(BaseRequestHandler):
    """Forwards one connection, in both directions at once, to ``target``."""

    target = ("localhost", 8000)
    patience = 30  # seconds that connecting to it may take

    def handle(self):
        try:
            onward = self.toolbox.connect(self.target, timeout=self.patience)
        except OSError as error:
            print(f"{self.target} cannot be reached: {error}", file=sys.stderr)
            return
        with onward:
            relay(self.request, onward)
