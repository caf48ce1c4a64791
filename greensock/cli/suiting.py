"""Which settings a model and an endpoint can have."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import CommandError
from .locating import DATAGRAM, STREAM, Location
from .options import flag
from .preforking import WORKER_SETTINGS

_FOR_DATAGRAMS = {"accept_rate", "accept_burst", "drain_timeout"}
_FOR_ALL = {*WORKER_SETTINGS, "worker_model", "ready_lag", "bus"}
_FOR_PATHS = {"unix_mode", "unix_owner"}
_FOR_GREENLETS = {"max_workers", "reuse_greenlets"}
_SHOWN = {
    "ssl_context": "--tls-cert",
    "implicit_tls": "--[no-]implicit-tls",
    "dual_stack": "--[no-]dual-stack",
    "reuse_greenlets": "--[no-]reuse-greenlets",
}


def check_settings_suit(
    settings: Mapping[str, Any], model: str, locations: Sequence[Location]
) -> None:
    """CommandError for a setting that ``model``, or every one of ``locations``, cannot have."""
    for name in settings:
        if model == "inline" and name.startswith("max_connections"):
            raise CommandError(
                f"{flag(name)} is of no use with --model inline, which handles one connection at "
                "a time: choose another model"
            )
        if model != "greenlet" and name in _FOR_GREENLETS:
            raise CommandError(
                f"{_shown(name)} is of no use with --model {model}, which has no greenlets: leave "
                "it out, or choose --model greenlet"
            )
        if not any(_suits(name, location) for location in locations):
            places = ", ".join(str(location.endpoint) for location in locations)
            raise CommandError(f"{_shown(name)} is {_reason(name)}: there is none in {places}")


def suitable(settings: Mapping[str, Any], location: Location) -> dict[str, Any]:
    """Those of ``settings`` that a server at ``location`` can have."""
    return {name: value for name, value in settings.items() if _suits(name, location)}


def _suits(name: str, location: Location) -> bool:
    if name == "dual_stack":
        return location.transport in ("tcp", "udp") and _is_ipv6(location)
    if name in _FOR_PATHS:
        return location.transport in ("unix", "unixgram") and _is_path(location)
    if name == "max_workers":
        return location.transport in DATAGRAM
    return location.transport in STREAM or name in _FOR_DATAGRAMS or name in _FOR_ALL


def _is_ipv6(location: Location) -> bool:
    return not location.is_adopted and ":" in location.address[0]


def _is_path(location: Location) -> bool:
    return not location.is_adopted and os.fsencode(location.address)[:1] != b"\0"


def _shown(name: str) -> str:
    return _SHOWN.get(name, flag(name))


def _reason(name: str) -> str:
    if name == "dual_stack":
        return "for IPv6 sockets that are opened here, as tcp://[::]:9000"
    if name in _FOR_PATHS:
        return "for paths that are opened here, as unix:chat.sock"
    if name == "max_workers":
        return "for datagrams, as udp:// or unixgram: brings"
    return "for connections, as tcp:// or unix: brings"
