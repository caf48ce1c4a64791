"""The ``greensock`` logger: a subscriber that writes down what went wrong.

========  ==================================================================================
level     what
========  ==================================================================================
ERROR     a handler or a hook raised (with its traceback)
WARNING   accepting is paused, a connection was cut, a datagram was truncated or dropped, messages
          were left out for somebody who reads too slowly, a bus was lost, messages of it were
          missed, a subscription had no room
INFO      accepting goes on, a connection was refused, a TLS handshake failed, a PROXY header was
          refused, certificates were loaded again, a server drains or has drained, a bus is back, a
          handler ended by SystemExit or GreenletExit, or by Ctrl-C, which reaches the children, too
========  ==================================================================================

Where logging is not configured, Python prints what is WARNING or worse on standard error.
"""

import errno
import logging

from gevent.hub import GreenletExit

from . import interfaces
from .errors import BusError, CommandError
from .events import subscribe
from .net.children import told_status
from .peers import one_line

logger = logging.getLogger("greensock")


def _write(interface, level, text, *names):
    def write(event):
        logger.log(level, text, *(_shown(getattr(event, name)) for name in names))

    subscribe(interface, write)


def _shown(value):
    # A peer may have put a line of its own into its address.
    return value if isinstance(value, (int, float)) else one_line(value)


def _write_failure(event):
    if isinstance(event.error, (SystemExit, GreenletExit, KeyboardInterrupt)):
        logger.info("request from %s ended by %r", one_line(event.client_address), event.error)
    else:
        logger.error("request from %s failed", one_line(event.client_address), exc_info=event.error)


def _write_pause(event):
    text = "accepting is paused: %s"
    if getattr(event.error, "errno", None) == errno.EINVAL:  # accept(2) has it for nothing else
        text += "; the socket does not listen: call server_bind() and server_activate()"
    logger.warning(text, _shown(event.error))


subscribe(interfaces.IRequestFailed, _write_failure)
subscribe(
    interfaces.IAcceptFailed,
    lambda event: logger.error("get_request failed", exc_info=event.error),
)
subscribe(interfaces.IAcceptPaused, _write_pause)
_write(interfaces.IAcceptResumed, logging.INFO, "accepting again after %.3f s", "seconds")
_write(
    interfaces.IConnectionCut,
    logging.WARNING,
    "connection from %s was cut: %s",
    "client_address",
    "reason",
)
subscribe(
    interfaces.ISlowConsumer,
    lambda event: logger.warning(
        "connection from %s reads too slowly: %d bytes wait, and messages are left out",
        one_line(event.connection.client_address),
        event.waiting,
    ),
)
_write(
    interfaces.IConnectionRefused,
    logging.INFO,
    "connection from %s was refused: %s",
    "client_address",
    "reason",
)
_write(interfaces.ITLSReloaded, logging.INFO, "new certificates are in use")
_write(interfaces.IDrainStarted, logging.INFO, "draining %d connections", "connections")
subscribe(
    interfaces.IDrainEnded,
    lambda event: logger.info(
        "drained in %.3f s, %d connections were cut", event.seconds, len(event.cut)
    ),
)
_write(
    interfaces.IDatagramTruncated,
    logging.WARNING,
    "datagram from %s was longer than the %d bytes of max_packet_size",
    "client_address",
    "kept",
)
_write(
    interfaces.IDatagramsDropped,
    logging.WARNING,
    "%d datagrams were dropped, because handlers were too slow",
    "count",
)
_write(
    interfaces.IHandshakeFailed,
    logging.INFO,
    "TLS handshake with %s failed: %s",
    "client_address",
    "error",
)
_write(
    interfaces.IProxyHeaderRefused,
    logging.INFO,
    "PROXY header from %s was refused, %s: %s",
    "client_address",
    "reason",
    "error",
)
_write(
    interfaces.IWorkerStarted, logging.INFO, "worker %d is ready, process %d", "index", "pid"
)


def _write_end(event):
    level = logging.WARNING if event.reason in ("died", "hung") else logging.INFO
    pause = f"; the next one comes in {event.pause:g} s" if event.pause else ""
    who = "the desk" if event.index is None else f"worker {event.index}"
    text = "%s has ended, process %d: %s, %s%s"
    logger.log(level, text, who, event.pid, event.reason, told_status(event.status), pause)


subscribe(interfaces.IWorkerEnded, _write_end)


def _write_worker_failure(event):
    who = "the supervisor or its desk" if event.index is None else f"worker {event.index}"
    if isinstance(event.error, (BusError, CommandError)):  # whose text says it all
        logger.error("%s failed: %s", who, event.error)
    else:
        logger.error("%s failed", who, exc_info=event.error)


subscribe(interfaces.IWorkerFailed, _write_worker_failure)
_write(interfaces.IUpgradeEnded, logging.INFO, "process %d has taken over", "pid")
_write(
    interfaces.IUpgradeFailed,
    logging.ERROR,
    "the new version, process %d, did not get ready: %s",
    "pid",
    "reason",
)


def _write_restored(event):
    missed = sum(event.missed.values())
    level = logging.WARNING if missed else logging.INFO
    text = "the bus is back after %.3f s; %d messages or more were missed, in %d topics"
    logger.log(level, text, event.seconds, missed, len(event.missed))


_write(interfaces.IBusLost, logging.WARNING, "the bus was lost: %s", "error")
subscribe(interfaces.IBusRestored, _write_restored)
_write(interfaces.IBusOverflowed, logging.WARNING, "no room in %s", "subscription")
