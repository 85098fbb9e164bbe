"""The keys under which secrets lie in the database: the newest encrypts, every one decrypts.

In: the text of `ORCHEST_SECRET_KEYS`, or a private file made on first use. Out: AES-256-GCM ciphertexts, each bound to
the place it is stored at, so that nobody who can write to the database moves a secret to another row. Never: a key or a
plain text in a message.
"""

from __future__ import annotations

import re
import secrets
from hashlib import blake2b
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outbox.key_file import create_once, open_to_others

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from outbox.database import Database

MINIMUM_KEY_CHARACTERS = 32
_KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12
_VERSION = b"\x01"
_MAKE_ONE = "Make one by: openssl rand -hex 32"


class KeyRingError(Exception):
    """A key that is missing, or cannot be used: which, why, and the mend."""


class KeyRing:
    """Frozen after it was made; may be shared by threads.

    A ciphertext is: version, id of its key, nonce, AES-256-GCM of the UTF-8 text.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """The texts of the keys, newest first. Raises KeyRingError for none, or for one that is too short."""
        if not keys:
            raise KeyRingError(f"The key ring for stored secrets is empty. {_MAKE_ONE}")
        for position, key in enumerate(keys, 1):
            if len(key) < MINIMUM_KEY_CHARACTERS:
                raise KeyRingError(
                    f"Key {position} of the key ring for stored secrets has {len(key)} characters, at least "
                    f"{MINIMUM_KEY_CHARACTERS} are needed. {_MAKE_ONE}"
                )
        self._ciphers = {_digest(key, b"id", _ID_BYTES): AESGCM(_digest(key, b"key", _KEY_BYTES)) for key in keys}
        self._newest = _digest(keys[0], b"id", _ID_BYTES)

    def encrypt(self, text: str, place: str) -> bytes:
        """`place` names table, row and column; the same is needed to decrypt."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(nonce, text.encode(), place.encode())
        return _VERSION + self._newest + nonce + sealed

    def decrypt(self, ciphertext: bytes, place: str) -> str:
        """Raises KeyRingError when its key is not in the ring, or when it was not encrypted for this place."""
        head = len(_VERSION)
        key, sealed = ciphertext[head : head + _ID_BYTES], ciphertext[head + _ID_BYTES :]
        if ciphertext[:head] != _VERSION or key not in self._ciphers:
            raise KeyRingError(
                f"{place}: encrypted under a key that is not in the ring. Add the former key behind the new one in "
                "ORCHEST_SECRET_KEYS (or in the file secret.keys), or make what it belongs to anew."
            )
        try:
            plain = self._ciphers[key].decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise KeyRingError(
                f"{place}: damaged, or moved there from another row. Restore it from a backup, or remove the webhook "
                "and add it again."
            ) from None
        return plain.decode()


def load_key_ring(text: str, file: Path, database: Database) -> KeyRing:
    """From `ORCHEST_SECRET_KEYS` (newest first, by commas or white space), else from the file, made on first use.

    Raises KeyRingError: a database that hosts may share needs the text, because a file of one host is no use
    to another.
    """
    if text.strip(" ,\t\r\n"):
        return KeyRing(_split(text))
    if not database.is_sqlite:
        raise KeyRingError(
            f"{database.place} may be shared by several hosts, so the keys for stored secrets must be given to each: "
            f"set ORCHEST_SECRET_KEYS, the same on all. {_MAKE_ONE}"
        )
    try:
        if not file.exists():
            create_once(file, f"{secrets.token_hex(_KEY_BYTES)}\n".encode())
        if mode := open_to_others(file):
            raise KeyRingError(
                f"{file}: others may read the keys for stored secrets (mode {mode}). Run: chmod 600 {file}"
            )
        content = file.read_text()
    except OSError as error:
        raise KeyRingError(
            f"{file}: {error.strerror}: no place for the keys of stored secrets. "
            "Set XDG_STATE_HOME to a writable folder, or ORCHEST_SECRET_KEYS."
        ) from None
    except UnicodeDecodeError:
        raise KeyRingError(f"{file}: not text. Restore it from a backup: without it no secret can be read.") from None
    return KeyRing(_split(content))


def _split(text: str) -> list[str]:
    return re.findall(r"[^\s,]+", text)


def _digest(key: str, purpose: bytes, size: int) -> bytes:
    return blake2b(key.encode(), digest_size=size, person=b"orchest-" + purpose).digest()
