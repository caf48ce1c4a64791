"""What a worker answers when the desk asks."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gevent.socket import socket as Socket

from .. import view
from ..peers import address_text
from .commands import is_meant


def answer_all(server, ear):
    """Answer what is asked of ``server`` through ``ear``, a line of JSON for each, until its end.

    A question comes with a number, and so does its answer.
    """
    with (
        Socket(fileno=ear.detach()) as sock,
        sock.makefile("rb") as questions,
        suppress(OSError),  # nobody is left who asks
    ):
        for line in questions:
            number, question, *rest = json.loads(line)
            answer = _ANSWERS[question](server, *rest)
            sock.sendall(json.dumps([number, answer]).encode() + b"\n")


def _kick(server, peer):
    """Cut the connections from ``peer``; how many there were."""
    return sum(
        server.kick(connection)
        for connection in server.connections
        if is_meant(peer, address_text(connection.client_address))
    )


# What the desk may ask: functions of the server, and of what else is asked.
_ANSWERS: dict[str, Callable[..., Any]] = {
    "status": lambda server: server._gs_attendance.status(),
    "kick": _kick,
    "connections": lambda server, most: view.connections([server], most),
    "publish": lambda server: server._gs_attendance.publish(),
}
