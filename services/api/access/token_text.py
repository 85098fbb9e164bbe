"""The text of a token: a prefix that scanners of leaked secrets can look for, 256 random bits, a checksum.

In: random bytes; or what somebody sent. Out: the text; whether it can be one; what is stored of it. Never: a look-up:
a typo, or a fragment, is recognised without one.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from zlib import crc32

RANDOM_BYTES = 32
_PREFIX = "orc_"
_CHECKSUM_CHARACTERS = 6
_FORM = re.compile(r"orc_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})", re.ASCII)


def token_text(random: bytes) -> str:
    """Of 32 random bytes: 53 characters, none of which must be quoted in a shell or a URL."""
    assert len(random) == RANDOM_BYTES
    body = _base64(random)
    return _PREFIX + body + _checksum(body)


def is_token_text(text: str) -> bool:
    """Whether its form and its checksum are those of a token: not whether there is such a token."""
    found = _FORM.fullmatch(text)
    return found is not None and found[2] == _checksum(found[1])


def digest_of(text: str) -> bytes:
    """What is stored of it, and looked up: nothing that takes longer for a better guess is ever compared."""
    return sha256(text.encode()).digest()


def _checksum(body: str) -> str:
    return _base64(crc32(body.encode()).to_bytes(4))


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")
