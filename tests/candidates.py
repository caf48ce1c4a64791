"""Candidates with one fault each, for the public checks to find."""

import re

import pytest

# Seconds for what a broken promise keeps waiting. On a busy machine others may take longer than
# the first and seem broken as well; hardly any takes longer than the second.
PATIENCES = 0.2, 5.0


class Faults(list):
    """Test parameters: a candidate, and what a check should say of it."""

    def breaking(self, promise):
        """Decorate a candidate with the promise it breaks, a regular expression."""

        def note(candidate):
            self.append(pytest.param(candidate, promise, id=candidate.__name__))
            return candidate

        return note


def assert_finds(message, check, *args):
    """The check says which promise is broken."""
    found = ""
    for patience in PATIENCES:
        with pytest.raises(AssertionError) as raised:
            check(*args, patience=patience)
        found = str(raised.value)
        if re.search(message, found):
            return
    raise AssertionError(f"{message!r} was expected, but it said: {found}")
