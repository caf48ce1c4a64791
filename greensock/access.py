"""The access log: a line for every connection that has ended, for those who ask for it.

The lines go to the logger ``greensock.access``, at INFO; where they are written, and whether, is
as logging is configured. They come when connections end, those that a process has handled when it
was reaped. Datagrams are no connections and have none.
"""

import json as _json
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from .interfaces import IConnectionClosed
from .observers import observe
from .peers import address_text, one_word

logger = logging.getLogger("greensock.access")


def log_access(json: bool = False) -> Callable[[], None]:
    """Write a line for every connection that ends from now on; return a function that undoes it.

    A line is words of ``name=value``, or with ``json`` an object of the same names and ``since``,
    when the connection was accepted (ISO 8601, UTC)::

        peer=127.0.0.1:50312 model=greenlet seconds=0.153 received=12 sent=40 reason=finished

    ``received`` and ``sent`` are bytes; see IConnection. Whatever a peer calls itself, a line
    stays one line of ASCII: what is no plain word is quoted, with escapes as in JSON.
    """
    line = _object if json else _words

    def write(event: Any) -> None:
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s", line(event.connection))

    return observe({IConnectionClosed: write})


def _words(connection: Any) -> str:
    return (
        f"peer={one_word(address_text(connection.client_address))}"
        f" model={one_word(connection.model)}"
        f" seconds={connection.seconds:.3f}"
        f" received={connection.received}"
        f" sent={connection.sent}"
        f" reason={one_word(connection.reason)}"
    )


def _object(connection: Any) -> str:
    since = datetime.fromtimestamp(connection.since, timezone.utc)
    return _json.dumps(
        {
            "since": since.isoformat(timespec="milliseconds"),
            "peer": address_text(connection.client_address),
            "model": connection.model,
            "seconds": round(connection.seconds, 6),
            "received": connection.received,
            "sent": connection.sent,
            "reason": connection.reason,
        }
    )
