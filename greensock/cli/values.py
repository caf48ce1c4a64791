"""What stands after an option: from text to a value, or what to write instead."""

import math
import os
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from ..net.owners import owner_ids
from ..settings import MOST_WORKERS, check_setting

_ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def seconds(text: str) -> float | None:
    """Seconds, 0 or more; None, which is no limit, for 'none'."""
    return _number(text, "neither a number of seconds nor 'none'", float, lambda value: value >= 0)


def lag(text: str) -> float:
    """Seconds, 0 or more."""
    value = _number(text, "no number of seconds, 0 or more", float, lambda value: value >= 0)
    if value is None:
        raise ArgumentTypeError("'none' would be for ever; give a number of seconds")
    return value


def limit(text: str) -> float | None:
    """Seconds, above 0; None for 'none'."""
    expected = "neither a number of seconds above 0 nor 'none'"
    return _number(text, expected, float, lambda value: value > 0)


def rate(text: str) -> float | None:
    """So many per second, above 0; None for 'none'."""
    return _number(text, "neither a number above 0 nor 'none'", float, lambda value: value > 0)


def count(text: str) -> int | None:
    """A whole number, 1 or more; None for 'none'."""
    expected = "neither a whole number above 0 nor 'none'"
    return _number(text, expected, int, lambda value: value >= 1)


def whole(text: str) -> int:
    """A whole number, 0 or more."""
    value = _number(text, "no whole number", int, lambda value: value >= 0)
    if value is None:
        raise ArgumentTypeError("'none' is no whole number; give 0 for none")
    return value


def some(text: str) -> int:
    """A whole number, 1 or more."""
    value = count(text)
    if value is None:
        raise ArgumentTypeError("'none' would serve nobody; give a whole number above 0")
    return value


def workers(text: str) -> int | str:
    """How many workers: a whole number, 1 or more, or 'cores'."""
    if text == "cores":
        return text
    expected = f"neither a whole number from 1 to {MOST_WORKERS} nor 'cores'"
    value = _number(text, expected, int, lambda value: 1 <= value <= MOST_WORKERS)
    if value is None:
        raise ArgumentTypeError("'none' would serve nobody; give a whole number above 0 or 'cores'")
    return int(value)


def socket_path(text: str) -> str:
    """A path in the file system."""
    if not text:
        raise ArgumentTypeError("'' is no path in the file system")
    return text


def size(text: str) -> int | None:
    """Bytes, 1 or more, with K, M or G for powers of 1024; None for 'none'."""
    if text == "none":
        return None
    found = re.fullmatch(r"([0-9]{1,15})([KMG]?)", text)
    if found is None or not int(found[1]):
        raise ArgumentTypeError(
            f"{text!r} is no number of bytes above 0, as in 200M or 1G, nor 'none'"
        )
    return int(found[1]) * _UNITS[found[2]]


def _number(
    text: str, expected: str, kind: Callable[[str], Any], is_right: Callable[[Any], bool]
) -> Any:
    if text == "none":
        return None
    try:
        value = kind(text)
        if math.isfinite(value) and is_right(value):
            return value
    except (ValueError, OverflowError):  # no number, or one to which there is no float
        pass
    raise ArgumentTypeError(f"{text!r} is {expected}")


def escaped(text: str) -> bytes:
    r"""The bytes of a text (UTF-8), with \r, \n, \t, \0, \\ and \xHH for what they stand for."""

    def meant(found: re.Match[bytes]) -> bytes:
        escape = found[1]
        if escape[:1] == b"x" and len(escape) == 3:
            return bytes([int(escape[1:], 16)])
        if escape not in _ESCAPES:
            shown = os.fsdecode(found[0])
            raise ArgumentTypeError(
                rf"{text!r} has {shown!r} in it: write \r, \n, \t, \0, \xHH, or \\ for a \ "
            )
        return _ESCAPES[escape]

    return re.sub(rb"(?s)\\(x[0-9A-Fa-f]{2}|.?)", meant, os.fsencode(text))


def file_mode(text: str) -> int:
    """A file mode, in octal digits."""
    if not re.fullmatch("(0o?)?[0-7]{3}", text):
        raise ArgumentTypeError(f"{text!r} is no file mode: write three octal digits, as in 660")
    return int(text, 8)


def networks(text: str) -> tuple[str, ...]:
    """Networks and addresses, with commas between."""
    found = tuple(text.split(","))
    try:
        check_setting("trusted_proxies", found)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} does not name networks: write 10.0.0.0/8,::1 or unix:, without spaces and "
            "with no bits beside the network's own"
        ) from None
    return found


def owner(text: str) -> str:
    """A user, a group or both, who must exist."""
    try:
        check_setting("unix_owner", text)
        owner_ids(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return text
