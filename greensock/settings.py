"""What may be set on a server, and what each setting may be.

A wrong value is found before the server binds, and when it is set, instead of in the midst of the
night.
"""

from collections.abc import Callable
from functools import cache
from math import isfinite
from typing import Any

from .net import addresses, native
from .net.networks import are_networks

OVERLOAD = ("backlog", "reject", "close")
SLOW_CONSUMER = ("close", "drop")
WORKER_MODELS = ("greenlet", "thread")
PROXY_PROTOCOL = ("optional", "required")
SHARE = ("reuseport", "listener", "balance")

# More than any machine has a use for, and fewer than a supervisor has cards for.
MOST_WORKERS = 512


def _one_of(values: tuple[str, ...]) -> str:
    return f"one of {', '.join(map(repr, values))}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _is_whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_owner(value: Any) -> bool:
    if isinstance(value, str):
        user, _, group = value.partition(":")
        return bool(user or group) and ":" not in group
    return _is_whole(value, least=0)


def _is_path_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str) and bool(value) and "\0" not in value


def _positive(value: Any) -> bool:
    return value is None or _is_number(value) and value > 0


_WHOLE = (_is_whole, "a whole number, 1 or more")
_WHOLE_OR_NONE = (
    lambda value: value is None or _is_whole(value),
    "a whole number, 1 or more, or None for no limit",
)
_SECONDS = (_positive, "a number of seconds above 0, or None for no limit")
_TRUTH = (lambda value: isinstance(value, bool), "True or False")

# By name: whether a value is right, and what is expected.
SETTINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_connections": _WHOLE_OR_NONE,
    "max_connections_per_peer": _WHOLE_OR_NONE,
    "accept_rate": (_positive, "a number per second above 0, or None for no limit"),
    "accept_burst": (
        lambda value: value is None or _is_whole(value),
        "a whole number, 1 or more, or None for as many as in one second",
    ),
    "overload": (OVERLOAD.__contains__, _one_of(OVERLOAD)),
    "overload_reply": (
        lambda value: isinstance(value, (bytes, bytearray)),
        "bytes, such as b'421 busy, try again later\\r\\n'",
    ),
    "idle_timeout": _SECONDS,
    "request_timeout": _SECONDS,
    "handshake_timeout": _SECONDS,
    "send_timeout": _SECONDS,
    "send_buffer": (
        lambda value: value is None or _is_whole(value),
        "a whole number of bytes, 1 or more, or None for no limit",
    ),
    "slow_consumer": (SLOW_CONSUMER.__contains__, _one_of(SLOW_CONSUMER)),
    "drain_timeout": (
        lambda value: value is None or _is_number(value) and value >= 0,
        "a number of seconds, 0 or more, or None for no limit",
    ),
    "ssl_context": (
        lambda value: value is None or native.is_ssl_context(value) or callable(value),
        "an ssl.SSLContext, a function that returns one, or None for no TLS",
    ),
    "implicit_tls": _TRUTH,
    "proxy_protocol": (
        lambda value: value is None or value in PROXY_PROTOCOL,
        f"{_one_of(PROXY_PROTOCOL)}, or None for no PROXY header",
    ),
    "trusted_proxies": (
        are_networks,
        "networks and addresses in a list, tuple or set, such as ['10.0.0.0/8', '::1', 'unix:'], "
        "with no bits beside the network's own",
    ),
    "dual_stack": (
        lambda value: value is None or isinstance(value, bool),
        "True, False, or None for the system's default",
    ),
    "unix_mode": (
        lambda value: value is None or _is_whole(value, least=0) and value <= 0o777,
        "a file mode such as 0o660, or None for what the umask leaves",
    ),
    "unix_owner": (
        lambda value: value is None or _is_owner(value),
        "'user', 'user:group', 'user:', ':group' or an id, or None for the process's own",
    ),
    "max_workers": _WHOLE,
    "workers": (
        lambda value: value == "cores" or _is_whole(value) and value <= MOST_WORKERS,
        f"a whole number from 1 to {MOST_WORKERS}, or 'cores' for one on each processor",
    ),
    "worker_model": (WORKER_MODELS.__contains__, _one_of(WORKER_MODELS)),
    "share": (SHARE.__contains__, _one_of(SHARE)),
    "worker_timeout": _SECONDS,
    "upgrade_timeout": _SECONDS,
    "ready_lag": (lambda value: _is_number(value) and value >= 0, "a number of seconds, 0 or more"),
    "max_requests": _WHOLE_OR_NONE,
    "max_requests_jitter": (lambda value: _is_whole(value, least=0), "a whole number, 0 or more"),
    "max_rss": (
        lambda value: value is None or _is_whole(value),
        "a whole number of bytes, 1 or more, or None for no limit",
    ),
    "control_path": (_is_path_or_none, "a path in the file system, or None for no control socket"),
    "status_address": (
        lambda value: value is None or isinstance(value, str) and addresses.is_address(value),
        "'PORT', 'HOST:PORT' or '[HOST]:PORT', or None for no status",
    ),
    "reuse_greenlets": _TRUTH,
}


def is_setting(server: Any, name: str) -> bool:
    """Whether ``name`` is a setting of ``server``, and not an application's own attribute."""
    return name in SETTINGS and name in _settings_of(type(server))


def is_property(server: Any, name: str) -> bool:
    """Whether an application has made a property of the setting ``name``.

    What is assigned is for the property to judge. What it returns is checked before the server
    binds, as every setting is.
    """
    found = next(vars(cls)[name] for cls in type(server).__mro__ if name in vars(cls))
    return hasattr(type(found), "__set__")


def _settings_of(kind: type) -> set[str]:
    ours = [cls for cls in kind.__mro__ if cls.__module__.partition(".")[0] == "greensock"]
    return set().union(*map(_settings_in, ours))


@cache
def _settings_in(cls: type) -> set[str]:
    """Those that one of greensock's own classes has; they are few, and stay as they are."""
    return SETTINGS.keys() & vars(cls).keys()


def check_setting(name: str, value: Any) -> None:
    """Raise ValueError if the setting ``name`` may not be ``value``."""
    is_right, expected = SETTINGS[name]
    try:
        right = is_right(value)
    except (TypeError, OverflowError):  # not comparable, or more than a float can hold
        right = False
    if not right:
        raise ValueError(f"{name} is {value!r}; give {expected}")


def check_settings(server: Any) -> None:
    """Raise ValueError for the first setting of ``server`` that is wrong."""
    there = _settings_of(type(server))
    for name in SETTINGS:
        if name in there:
            check_setting(name, getattr(server, name))
