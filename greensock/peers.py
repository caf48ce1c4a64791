"""Peers, written down: what comes from outside does not break the line it is put into.

A client chooses the path of its own Unix socket, and an application's ``get_request`` may take an
address from wherever it likes.
"""

import json
import os
from typing import Any


def address_text(address: Any) -> str:
    """An address as people write it: ``host:port``, ``[host]:port``, ``unix:path``, ``unix:@name``.

    It may hold whatever the peer has put there; see ``one_word``.
    """
    if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[0], str):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(address, (str, bytes)):
        path = os.fsdecode(address)
        return f"unix:@{path[1:]}" if path.startswith("\0") else f"unix:{path}"
    return str(address)


def one_word(text: str) -> str:
    """``text`` as it is if it is one word of printable ASCII, else quoted as in JSON."""
    if text and all("!" <= each <= "~" and each not in '"\\=' for each in text):
        return text
    return json.dumps(text)


def one_line(value: Any) -> str:
    """``str(value)``, quoted as in Python if that is not one printable line."""
    text = str(value)
    return text if text.isprintable() else repr(text)
