"""Who may log in: a file with a name, a colon and a hash of the password in each line."""

import hashlib
import hmac
import os

# It has to keep a file that was stolen useless for a while, and a login from stopping the others:
# some 5 ms.
ROUNDS = 20_000


def hashed(password: bytes, salt: bytes | None = None) -> str:
    """What stands in the file for a password: rounds, salt and digest."""
    salt = os.urandom(12) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha256", password, salt, ROUNDS)
    return f"{ROUNDS}${salt.hex()}${digest.hex()}"


class Accounts:
    """Those in a file's ``text``. ValueError, which names the line, if one is none."""

    def __init__(self, text: str) -> None:
        self._hashes: dict[str, tuple[int, bytes, bytes]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                name, _, secret = line.strip().partition(":")
                try:
                    rounds, salt, digest = secret.split("$")
                    parsed = int(rounds), bytes.fromhex(salt), bytes.fromhex(digest)
                except ValueError:
                    raise ValueError(
                        f"line {number} is no NAME:ROUNDS$SALT$DIGEST, as --hash prints it"
                    ) from None
                self._hashes[name] = parsed

    def account_of(self, name: bytes, password: bytes) -> str | None:
        """The account, if the password is right."""
        account = name.decode(errors="replace")
        rounds, salt, digest = self._hashes.get(account, (ROUNDS, b"", b""))
        given = hashlib.pbkdf2_hmac("sha256", password, salt, rounds)
        return account if hmac.compare_digest(given, digest) else None
