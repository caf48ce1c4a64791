"""Who may use the proxy: names and passwords."""

import hmac


class Users:
    """Some, by name (bytes); ``names`` maps each to a password (bytes)."""

    def __init__(self, names):
        self._names = dict(names)

    def know(self, name, password):
        """Whether this is one of them. How long it takes does not tell how near a guess was."""
        right = self._names.get(name)
        is_right = hmac.compare_digest(right or b"", password)
        return is_right and right is not None


def parse_users(text):
    """The Users of ``NAME:PASSWORD`` lines; ValueError for a line that is none.

    Empty lines, and those that begin with #, are left out.
    """
    names = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.partition(":")
        name, password = name.encode(), password.encode()
        # SOCKS has no room for more, and none for an empty one.
        if not colon or not all(0 < len(each) < 256 for each in (name, password)):
            raise ValueError(
                f"line {number} is no NAME:PASSWORD, each of 1 to 255 bytes"  # and not what it is
            )
        if name in names:
            raise ValueError(f"line {number} names {name.decode()!r}, which an earlier line does")
        names[name] = password
    if not names:
        raise ValueError("there is nobody: write a line NAME:PASSWORD for each")
    return Users(names)
