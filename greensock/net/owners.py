"""From what ``unix_owner`` says to the ids of a user and a group."""

import grp
import pwd

# For chown: leave it as it is.
SAME = -1


def owner_ids(owner: str | int | None) -> tuple[int, int]:
    """The ids of the user and of the group that ``owner`` names, -1 for one that it does not.

    See ``unix_owner`` in IBinding. ValueError if there is no such user or group.
    """
    if owner is None:
        return SAME, SAME
    if isinstance(owner, int):
        return owner, SAME
    user, colon, group = owner.partition(":")
    uid, login_group = _user(user, owner) if user else (SAME, SAME)
    if not colon:
        return uid, SAME
    return uid, _group(group, owner) if group else login_group


def _user(name: str, owner: str) -> tuple[int, int]:
    try:
        if name.isdecimal():
            return int(name), SAME
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ValueError(f"unix_owner is {owner!r}, and there is no user {name!r}") from None
    return entry.pw_uid, entry.pw_gid


def _group(name: str, owner: str) -> int:
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"unix_owner is {owner!r}, and there is no group {name!r}") from None
