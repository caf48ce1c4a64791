"""Channels: who is in them, and who may do what."""

from .audience import Audience
from .names import fold, matches
from .people import User

# Letters for members' ranks, and the signs before their nicks, the highest first.
RANKS = {"o": "@", "v": "+"}

FLAGS = frozenset("imnst")

MOST_BANS = 100


class Channel:
    """``since``: when it was made, in milliseconds since the epoch. ``members``: their ranks."""

    __slots__ = (
        "name", "since", "topic", "topic_by", "topic_at", "flags", "key", "limit", "bans",
        "members", "audience",
    )  # fmt: skip

    def __init__(self, name: str, since: int) -> None:
        self.name = name
        self.audience = Audience()
        self.members: dict[User, str] = {}
        self.begin(since)
        self.topic = self.topic_by = ""
        self.topic_at = 0

    def begin(self, since: int) -> None:
        """Be the one that was made at ``since``, before anybody set a mode."""
        self.since = since
        self.flags: set[str] = set()
        self.key = ""
        self.limit = 0
        self.bans: dict[str, tuple[str, int]] = {}  # by whom, and when in seconds

    def __repr__(self) -> str:
        return f"<channel {self.name}>"

    def add(self, user: User, rank: str) -> None:
        """Let a user in."""
        self.members[user] = rank
        user.invited.discard(self)
        user.channels[fold(self.name)] = self
        if user.session is not None:
            self.audience.join(user.session)

    def remove(self, user: User) -> None:
        """Take a user out."""
        del self.members[user]
        del user.channels[fold(self.name)]
        if user.session is not None:
            self.audience.leave(user.session)

    def set_rank(self, user: User, letter: str, has: bool) -> bool:
        """Give or take a rank; whether that changes anything."""
        ranks = self.members[user]
        if (letter in ranks) == has:
            return False
        wanted = ranks + letter if has else ranks.replace(letter, "")
        self.members[user] = "".join(sorted(wanted, key="ov".index))
        return True

    def is_operator(self, user: User) -> bool:
        """Whether they may change what there is to change."""
        return "o" in self.members.get(user, "")

    def sign_of(self, user: User, all_of_them: bool = False) -> str:
        """What stands before the nick: the highest sign, or all of them."""
        signs = "".join([RANKS[letter] for letter in self.members[user]])
        return signs if all_of_them else signs[:1]

    def is_seen_by(self, user: User) -> bool:
        """Whether they may know of it."""
        return "s" not in self.flags or user in self.members

    def is_banned(self, user: User) -> bool:
        """Whether a ban keeps them out, or silent."""
        return any(matches(mask, user.prefix) for mask in self.bans)

    def may_talk(self, user: User) -> bool:
        """Whether what they say here is passed on."""
        ranks = self.members.get(user)
        if ranks:
            return True
        if "m" in self.flags or ranks is None and "n" in self.flags:
            return False
        return not self.is_banned(user)

    def modes(self, with_key: bool = True) -> list[str]:
        """Its modes as MODE has them: letters, then what belongs to them."""
        letters = "+" + "".join(sorted(self.flags))
        params = []
        if self.key:
            letters += "k"
            params.append(self.key if with_key else "*")
        if self.limit:
            letters += "l"
            params.append(str(self.limit))
        return [letters, *params]
