"""Every knob once: what the environment says, typed, with its default.

In: environment variables, passed in. Out: a frozen `Settings`, and the key under which secrets are masked.
Never: reads a variable anywhere else, or connects to anything.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from outbox.key_file import create_once, open_to_others
from reconciler.errors import OrchestError

if TYPE_CHECKING:
    from collections.abc import Mapping

MASKING_KEY_BYTES = 32
MINIMUM_KEY_CHARACTERS = 16


class SettingsError(OrchestError):
    """A setting that cannot be used: which, why, and the mend. Never shows the value of a secret."""


@dataclass(frozen=True, slots=True)
class Settings:
    state: Path
    """`$XDG_STATE_HOME/orchest`: history and masking key, private to the user."""
    cache: Path
    """`$XDG_CACHE_HOME/orchest`: may be deleted at any time."""
    database_url: str = field(repr=False)
    """`ORCHEST_DATABASE_URL` (may hold a password), or the SQLite file below `state`."""
    masking_key_text: str = field(repr=False, default="")
    """`ORCHEST_MASKING_KEY`, "" when unset."""
    redis_url: str = field(repr=False, default="")
    """`ORCHEST_REDIS_URL` (may hold a password); "": the embedded Redis below `state`, or none."""
    secret_keys_text: str = field(repr=False, default="")
    """`ORCHEST_SECRET_KEYS`: the key ring under which secrets are stored, newest first; "": the file below `state`."""
    allowed_networks: tuple[str, ...] = ()
    """`ORCHEST_ALLOWED_NETWORKS`: CIDRs that webhooks may reach although they are not public."""
    allow_insecure_tls: bool = False
    """`ORCHEST_ALLOW_INSECURE_TLS=1`: a webhook may ask not to verify its receiver's certificate."""
    analytics_url: str = field(repr=False, default="")
    """`ORCHEST_ANALYTICS_URL`: where anonymous analytics go; "": nowhere, they are off."""
    analytics_key: str = field(repr=False, default="")
    """`ORCHEST_ANALYTICS_KEY`: what that place knows us by."""
    namespace: str = "orchest"
    """Of a cluster that names none."""
    cluster: str = "cluster-1"

    @property
    def git_cache(self) -> Path:
        return self.cache / "git"

    @property
    def masking_key_file(self) -> Path:
        return self.state / "masking.key"

    @property
    def secret_keys_file(self) -> Path:
        return self.state / "secret.keys"

    @property
    def spool(self) -> Path:
        """Where the record of an apply waits while the shared database is absent."""
        return self.state / "spool.db"

    @property
    def redis_folder(self) -> Path:
        """Of the embedded Redis: its socket and the lock of its owner."""
        return self.state / "redis"


@dataclass(frozen=True, slots=True)
class MaskingKey:
    key: bytes = field(repr=False)
    """32 bytes for `Masker`."""
    warning: str = ""
    """Why this key lives for this one command only; "" for a stable key."""


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Usually of `os.environ`. Reads no file, cannot fail: what is wrong shows where it is used."""
    home = Path(environment.get("HOME") or "/")
    state = _folder(environment.get("XDG_STATE_HOME", ""), home / ".local" / "state")
    cache = _folder(environment.get("XDG_CACHE_HOME", ""), home / ".cache")
    return Settings(
        state=state,
        cache=cache,
        database_url=environment.get("ORCHEST_DATABASE_URL") or f"sqlite:///{state / 'history.db'}",
        masking_key_text=environment.get("ORCHEST_MASKING_KEY", ""),
        redis_url=environment.get("ORCHEST_REDIS_URL", ""),
        secret_keys_text=environment.get("ORCHEST_SECRET_KEYS", ""),
        allowed_networks=tuple(re.findall(r"[^\s,]+", environment.get("ORCHEST_ALLOWED_NETWORKS", ""))),
        allow_insecure_tls=environment.get("ORCHEST_ALLOW_INSECURE_TLS", "") == "1",
        analytics_url=environment.get("ORCHEST_ANALYTICS_URL", ""),
        analytics_key=environment.get("ORCHEST_ANALYTICS_KEY", ""),
    )


def stable_masking_key(settings: Settings) -> MaskingKey:
    """The key from the environment, else from the user's key file, made on first use: masked values stay comparable.

    Raises SettingsError when there is neither and no place to make one.
    """
    if settings.masking_key_text:
        return _key_of_text(settings.masking_key_text)
    path = settings.masking_key_file
    try:
        if not path.exists():
            create_once(path, secrets.token_bytes(MASKING_KEY_BYTES))
        return _key_of_file(path)
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}: no place for the masking key. "
            "Set XDG_STATE_HOME to a writable folder, or ORCHEST_MASKING_KEY to a secret of your own."
        ) from None


def masking_key(settings: Settings) -> MaskingKey:
    """For commands that only show: the stable key, or where none can be kept one for this command, with a warning.

    Raises SettingsError for a key that is there but unusable.
    """
    if settings.masking_key_text or settings.masking_key_file.is_file() or _can_be_made(settings.state):
        return stable_masking_key(settings)
    return MaskingKey(
        secrets.token_bytes(MASKING_KEY_BYTES),
        f"{settings.state} is not writable: masked values of this command cannot be compared with those of another. "
        "Set XDG_STATE_HOME or ORCHEST_MASKING_KEY.",
    )


def _folder(written: str, default: Path) -> Path:
    """XDG: a relative path is invalid and ignored."""
    return (Path(written) if written.startswith("/") else default) / "orchest"


def _key_of_text(text: str) -> MaskingKey:
    if len(text) < MINIMUM_KEY_CHARACTERS:
        raise SettingsError(
            f"ORCHEST_MASKING_KEY: {len(text)} characters, at least {MINIMUM_KEY_CHARACTERS} are needed. "
            "Make one by: openssl rand -hex 32"
        )
    return MaskingKey(blake2b(text.encode(), digest_size=MASKING_KEY_BYTES).digest())


def _key_of_file(path: Path) -> MaskingKey:
    if mode := open_to_others(path):
        raise SettingsError(f"{path}: others may read the masking key (mode {mode}). Run: chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != MASKING_KEY_BYTES:
        raise SettingsError(
            f"{path}: {len(key)} bytes, a masking key has {MASKING_KEY_BYTES}. "
            "Restore the file, or delete it: a new one is made, and older masked values no longer compare."
        )
    return MaskingKey(key)


def _can_be_made(folder: Path) -> bool:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
