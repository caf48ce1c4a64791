"""The page, and the policy that lets a browser run nothing but what is in it."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

PAGE = Path(__file__).with_name("page.html").read_bytes()


def _hash(element: str) -> str:
    [text] = re.findall(rf"<{element}>(.*?)</{element}>".encode(), PAGE, re.DOTALL)
    return f"'sha256-{b64encode(sha256(text).digest()).decode()}'"


POLICY = "; ".join(
    [
        "default-src 'none'",
        f"script-src {_hash('script')}",
        f"style-src {_hash('style')}",
        "img-src data:",  # the icon
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
