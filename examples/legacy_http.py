"""A site written for the standard library's http.server, made green in one line.

    python examples/legacy_http.py --model greenlet
    curl http://localhost:8000/hello
"""

import argparse
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from greensock import ForkingMixIn, GreenletMixIn, ThreadingMixIn


class Page(BaseHTTPRequestHandler):
    """The old site. It keeps connections open, so each visitor occupies a worker for a while."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self):
        body = f"You asked for {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Site(GreenletMixIn, ThreadingHTTPServer):
    """A greenlet for every visitor. This is the one line."""


class ThreadSite(ThreadingMixIn, ThreadingHTTPServer):
    """A thread for every visitor, as before, with greensock's accept loop and shutdown."""


class ForkSite(ForkingMixIn, ThreadingHTTPServer):
    """A process for every visitor."""


def main():
    sites = {site.model: site for site in (Site, ThreadSite, ForkSite)}
    parser = argparse.ArgumentParser(description="An http.server site under another model.")
    parser.add_argument("--model", choices=sites, default="greenlet")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any that is free")
    options = parser.parse_args()
    site = sites[options.model]
    site.drain_timeout = 1  # second that Ctrl-C waits for visitors who stay
    try:
        server = site(("localhost", options.port), Page)
    except (OSError, OverflowError) as error:
        raise SystemExit(f"cannot listen on localhost:{options.port}: {error}") from None
    with suppress(KeyboardInterrupt), server:
        url = "http://{}:{}/hello".format(*server.server_address)
        print(f"Listening, model {options.model}. Try: curl {url}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
