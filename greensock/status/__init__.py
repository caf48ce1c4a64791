"""A look at running servers from outside: metrics, health, connections and a page for people.

``serve_status("127.0.0.1:9100", [server])`` serves these, with GET and HEAD alone:

=====================  ==========================================================================
``/``                  a page with live counts and plots
``/healthz``           200 while the process works
``/readyz``            200 while all servers take connections, 503 with the reasons while not
``/metrics``           Prometheus's text format; 501 without the package prometheus_client
``/stats.json``        counts since the status server was made, and the state of each server
``/connections.json``  the connections there are, never what goes over them
=====================  ==========================================================================

A PreforkMixIn server with a ``status_address`` serves the same of all its workers: ``/readyz``
answers 200 while one of them takes connections, ``/stats.json`` has the list ``workers`` besides,
every metric the label ``worker``, and ``/connections.json`` names in ``silent`` the workers that
do not answer.

Whoever can connect may look. On a loopback address, those are the users of this machine; a page
somewhere else cannot look through their browsers, because the Host header is checked.
"""

from ..net.addresses import parse_address
from .server import Status, serve_status

__all__ = ["Status", "parse_address", "serve_status"]
