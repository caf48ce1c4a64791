"""The page, and the policy that lets a browser run nothing but what is in it."""

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files


@cache
def page() -> bytes:
    """The page, which needs nothing from anywhere else."""
    return (files(__package__) / "page.html").read_bytes()


@cache
def policy() -> str:
    """Its Content-Security-Policy: its own script and style by their hashes, and its own data."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash('script')}",
            f"style-src {_hash('style')}",
            "img-src data:",  # the icon, which is empty, or browsers would ask for one
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _hash(element: str) -> str:
    [text] = re.findall(rf"<{element}>(.*?)</{element}>".encode(), page(), re.DOTALL)
    return f"'sha256-{b64encode(sha256(text).digest()).decode()}'"
