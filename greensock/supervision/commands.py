"""What may be asked over the control socket, and how: lines of JSON. No I/O.

A request is an object with a ``command``, and with what that needs: ``{"command": "status"}``,
``{"command": "drain", "timeout": 5}``, ``{"command": "kick", "peer": "127.0.0.1:50312"}``. The
answer is an object, too: with ``error``, a text, if it cannot be done.
"""

import json
from math import isfinite

# Bytes of a request. The longest that makes sense names a Unix socket's path.
LONGEST = 4096

COMMANDS = ("status", "reload", "drain", "add", "remove", "reopen", "upgrade", "kick")


class RequestError(ValueError):
    """A request is not understood; the text says why."""


class Reader:
    """From bytes, in whatever pieces they come, to the lines of requests."""

    def __init__(self):
        self._rest = b""

    def feed(self, data):
        """The lines that are complete now; RequestError for one that is too long."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if any(len(line) > LONGEST for line in (*lines, self._rest)):
            raise RequestError(f"a request is one line of at most {LONGEST} bytes")
        return lines


def parse(line):
    """The command and its argument, None if it has none; RequestError if that is neither."""
    try:
        request = json.loads(line)
        command = request["command"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RequestError('a request is an object, such as {"command": "status"}') from None
    if not isinstance(command, str) or command not in COMMANDS:
        raise RequestError(f"the commands are {', '.join(COMMANDS)}")
    if command == "drain":
        return command, _seconds(request.get("timeout"))
    if command == "kick":
        return command, _peer(request.get("peer"))
    return command, None


def _seconds(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        if value is None or is_number and isfinite(value) and value >= 0:
            return value
    except OverflowError:
        pass  # more than a float can hold
    raise RequestError("timeout is a number of seconds, 0 or more")


def _peer(value):
    if isinstance(value, str) and value:
        return value
    raise RequestError("peer is a text: host:port, or a host for all who come from there")


def is_meant(peer, shown):
    """Whether ``peer`` is who ``shown`` is, as ``address_text`` writes addresses, or its host."""
    host = shown.rpartition(":")[0]
    return peer in (shown, host, host.strip("[]"))
