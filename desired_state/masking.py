"""The one choke point through which every value passes on its way to a person, a file, a log or a row.

What is sensitive: data of a Secret, the value of an environment variable or chart parameter whose name says so, userinfo
in a URL, kubectl's last-applied annotation. It is replaced by a keyed hash, so that equality survives masking and nothing else does.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import blake2b

MASK_PREFIX = "masked:"


@dataclass(frozen=True, slots=True)
class Masker:
    """`key` is at least 16 random bytes that stay on the user's side; maskers with equal keys mask alike."""

    key: bytes

    @property
    def key_id(self) -> str:
        """Names the key without revealing it: plans and snapshots carry it."""
        return blake2b(b"key id", key=self.key, digest_size=6).hexdigest()

    def digest(self, data: bytes) -> str:
        """A keyed hash of any bytes, hex; no oracle for whoever lacks the key."""
        return hmac.new(self.key, data, "blake2s").hexdigest()[:32]

    def mask(self, value: str) -> str:
        return f"{MASK_PREFIX}{self.digest(value.encode())}"
