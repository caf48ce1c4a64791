"""Proxies that are programs of their own."""

import os
import socket
import subprocess
import sys

from ..peers import find
from . import BACKLOG, CHUNK, LOCAL, TIMEOUT, announce

# Without maxconn: it is as many as the limit on open files lets be.
HAPROXY = f"""
global
    nbthread 1
    {{pipes}}
defaults
    mode tcp
    timeout connect {TIMEOUT}s
    timeout client {TIMEOUT}s
    timeout server {TIMEOUT}s
    {{splicing}}
frontend clients
    bind fd@{{listener}}
    default_backend upstream
backend upstream
    server only {{host}}:{{port}}
"""
SPLICING = "option splice-request\n    option splice-response"
PIPES = "tune.pipesize 1048576"


def haproxy(upstream, *variant):
    listener = socket.create_server(LOCAL, backlog=BACKLOG)
    os.set_inheritable(listener.fileno(), True)
    text = HAPROXY.format(
        pipes=PIPES if "pipes" in variant else "",
        splicing=SPLICING if "splicing" in variant else "",
        listener=listener.fileno(),
        host=upstream[0],
        port=upstream[1],
    )
    configuration = os.memfd_create("haproxy.cfg", 0)
    os.write(configuration, text.encode())
    announce(listener.getsockname()[1])
    program = find("haproxy")
    os.execv(program, [program, "-db", "-f", f"/proc/self/fd/{configuration}"])


def socat(upstream):
    """A process for each connection. Which port it listens on is among its notices."""
    command = [
        find("socat"), "-d", "-d", "-b", str(CHUNK),
        f"TCP4-LISTEN:{LOCAL[1]},bind={LOCAL[0]},backlog={BACKLOG},nodelay,fork",
        f"TCP4:{upstream[0]}:{upstream[1]},nodelay",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if " listening on " in line:
                announce(line.rpartition(":")[2].strip())
    sys.exit("socat has ended")


def serve(service, program, *variant, upstream):
    {"haproxy": haproxy, "socat": socat}[program](upstream, *variant)
