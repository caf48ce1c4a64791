"""What a MODE line asks for, one change at a time."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Those that always have a parameter, and those that have one when they are set.
WITH_PARAM = frozenset("bkov")
WITH_PARAM_TO_SET = frozenset("l")

# As many changes with a parameter are heeded in one line.
MOST_PARAMS = 4


class Change(NamedTuple):
    """``param`` is '' if it has none."""

    is_set: bool
    letter: str
    param: str = ""


def parse_changes(letters: str, params: Iterable[str]) -> Iterator[Change]:
    """The changes that ``letters`` and their parameters ask for.

    One that lacks its parameter has '' for it: what that means is the reader's to say.
    """
    left = iter(params)
    is_set = True
    for letter in letters:
        if letter in "+-":
            is_set = letter == "+"
        elif letter in WITH_PARAM or is_set and letter in WITH_PARAM_TO_SET:
            yield Change(is_set, letter, next(left, ""))
        else:
            yield Change(is_set, letter)


def format_changes(changes: Iterable[Change]) -> list[str]:
    """The words of a MODE line for these changes; none if there are none."""
    letters, params = "", []
    sign = None
    for change in changes:
        if change.is_set is not sign:
            sign = change.is_set
            letters += "+" if sign else "-"
        letters += change.letter
        if change.param:
            params.append(change.param)
    return [letters, *params] if letters else []
