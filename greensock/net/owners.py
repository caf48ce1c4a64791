"""From what ``unix_owner`` says to the ids of a user and a group."""

import grp
import pwd

# For chown: leave it as it is. It says so with the highest number there is, which is no id.
SAME = -1
HIGHEST = 2**32 - 2


def owner_ids(owner: str | int | None) -> tuple[int, int]:
    """The ids of the user and of the group that ``owner`` names, -1 for one that it does not.

    See ``unix_owner`` in IBinding. ValueError if there is no such user or group, or no such id.
    """
    if owner is None:
        return SAME, SAME
    if isinstance(owner, int):
        return _checked(owner, owner), SAME
    user, colon, group = owner.partition(":")
    uid, login_group = _user(user, owner) if user else (SAME, SAME)
    if not colon:
        return uid, SAME
    return uid, _group(group, owner) if group else login_group


def _user(name: str, owner: str) -> tuple[int, int]:
    try:
        if name.isdecimal():
            return _id(name, owner), SAME
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ValueError(f"unix_owner is {owner!r}, and there is no user {name!r}") from None
    return entry.pw_uid, entry.pw_gid


def _group(name: str, owner: str) -> int:
    try:
        return _id(name, owner) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"unix_owner is {owner!r}, and there is no group {name!r}") from None


def _id(digits: str, owner: str) -> int:
    digits = digits.lstrip("0") or "0"
    # Python refuses to read thousands of digits.
    return _checked(int(digits) if len(digits) <= 20 else HIGHEST + 1, owner)


def _checked(number: int, owner: str | int) -> int:
    if number > HIGHEST:
        raise ValueError(f"unix_owner is {owner!r}, and the highest id is {HIGHEST}")
    return number
