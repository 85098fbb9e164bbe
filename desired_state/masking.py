"""The one choke point through which every value passes on its way to a person, a file, a log or a row.

What is sensitive (`sensitivity.py` says) is replaced by a keyed hash: equality survives masking and nothing else does.

In: Kubernetes objects and free text. Out: the same without secrets. Never: a secret in an error of its own.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from desired_state.objects import Json, Unknown
from desired_state.sensitivity import (
    MASK_PREFIX,
    USERINFO,
    USERINFO_IN_TEXT,
    Extent,
    found_leaves,
    is_masked,
    is_secret_userinfo,
    secrets_in,
    sensitive_leaves,
    sensitive_paths,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MASK_PREFIX", "Extent", "Masker", "scrub", "secrets_in", "sensitive_leaves", "sensitive_paths"]


@dataclass(frozen=True, slots=True)
class Masker:
    """`key` is at least 16 random bytes that stay on the user's side; maskers with equal keys mask alike."""

    key: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """Names the key without revealing it: plans and snapshots carry it."""
        return blake2b(b"key id", key=self.key, digest_size=6).hexdigest()

    def digest(self, data: bytes) -> str:
        """A keyed hash of any bytes, hex; no oracle for whoever lacks the key."""
        return hmac.new(self.key, data, "blake2s").hexdigest()[:32]

    def mask(self, value: str) -> str:
        """Every masked value is made here. What is masked already stays: a saved snapshot may pass twice."""
        return value if is_masked(value) else f"{MASK_PREFIX}{self.digest(value.encode(errors='surrogatepass'))}"

    def mask_leaf(self, value: Json, extent: Extent) -> Json:
        """The value at one of `sensitive_leaves`. Absent and empty values stay: not secret, and equal to each other."""
        if value is None or value == "" or isinstance(value, Unknown):
            return value
        if extent is Extent.USERINFO and isinstance(value, str):
            return _mask_userinfo(value, USERINFO, self.mask)
        return self.mask(value if isinstance(value, str) else json.dumps(value, sort_keys=True))

    def mask_content(self, content: Mapping[str, Json]) -> dict[str, Json]:
        """A copy of a whole Kubernetes object of any kind (or a List of them) without its secrets."""
        masked = {key: _copy(child) for key, child in content.items()}
        for path, leaf, extent in found_leaves(content):
            parent: Json = masked
            for step in path[:-1]:
                parent = parent[step]
            parent[path[-1]] = self.mask_leaf(leaf, extent)
        return masked

    def scrub(self, text: str, secrets: Collection[str] = ()) -> str:
        """Free text (a server's error, a log line) without `secrets` and without what looks like one: see `scrub`."""
        return scrub(text, secrets, self.mask)


def _copy(node: Json) -> Json:
    if isinstance(node, Mapping):
        return {key: _copy(child) for key, child in node.items()}
    if isinstance(node, list | tuple):
        return [_copy(child) for child in node]
    return node


def _mask_userinfo(text: str, pattern: re.Pattern[str], mask: Callable[[str], str]) -> str:
    def masked(match: re.Match[str]) -> str:
        userinfo = match["userinfo"]
        return f"{match['scheme']}{mask(userinfo) if is_secret_userinfo(userinfo) else userinfo}@"

    return pattern.sub(masked, text)


# --- free text -------------------------------------------------------------------------------------------------------

_MIN_SUBSTRING = 4
"""A shorter secret is replaced only where it stands as a word of its own, or every "a" of a message would go."""
_AUTHORIZATION = re.compile(r"(?P<scheme>\b(?:Bearer|Basic)\s+)(?P<credential>[A-Za-z0-9._~+/=:-]{8,})", re.IGNORECASE)
_SECRET_ASSIGNMENT = re.compile(
    r"(?P<name>(?<![A-Za-z0-9_.-])[A-Za-z0-9_.-]*(?:passw(?:or)?d|passphrase|token|secret|apikey|api_key)"
    r"[A-Za-z0-9_.-]*=[\"']?)(?P<value>[^\s&\"',;]+)",
    re.IGNORECASE,
)


def scrub(text: str, secrets: Collection[str], mask: Callable[[str], str]) -> str:
    """`text` with every secret replaced by `mask(secret)`: plain, in base64 (also inside a longer encoded text),
    URL-encoded, JSON-escaped and Go-quoted; then userinfo of any URL, `Bearer` and `Basic` credentials and
    `password=...` assignments, known or not.
    """
    # Longest first: a secret that holds another one goes as a whole. One pass: what was masked is not looked at again.
    known = sorted((secret for secret in secrets if secret), key=lambda secret: (-len(secret), secret))
    if known:
        pattern = "|".join(f"({_any_form(secret)})" for secret in known)
        text = re.sub(pattern, lambda match: mask(known[(match.lastindex or 1) - 1]), text)
    text = _mask_userinfo(text, USERINFO_IN_TEXT, mask)
    text = _AUTHORIZATION.sub(lambda match: f"{match['scheme']}{_masked_once(match['credential'], mask)}", text)
    return _SECRET_ASSIGNMENT.sub(lambda match: f"{match['name']}{_masked_once(match['value'], mask)}", text)


def _masked_once(value: str, mask: Callable[[str], str]) -> str:
    return value if value.startswith(MASK_PREFIX) else mask(value)


def _any_form(secret: str) -> str:
    """A regular expression for every way in which `secret` may be written."""
    plain = "".join(_character(character) for character in secret)
    forms = [plain, *("".join(_character(character) for character in form) for form in _base64_forms(secret))]
    if len(secret) >= _MIN_SUBSTRING:
        return "|".join(forms)
    return "|".join(rf"(?<![A-Za-z0-9_]){form}(?![A-Za-z0-9_])" for form in forms)


@lru_cache(maxsize=512)
def _character(character: str) -> str:
    """One character as itself, percent-encoded, or behind backslashes (any number: JSON inside JSON doubles them)."""
    if character.isascii() and character.isalnum():
        return character
    raw = character.encode(errors="surrogatepass")
    percent = "".join(f"%(?i:{byte:02X})" for byte in raw)
    units = character.encode("utf-16-be", errors="surrogatepass")
    json_escape = "".join(rf"\\+u(?i:{units[i]:02x}{units[i + 1]:02x})" for i in range(0, len(units), 2))
    go_escape = "".join(rf"\\+x{byte:02x}" for byte in raw)
    short = _SHORT_ESCAPES.get(character, "")
    return rf"(?:\\*{re.escape(character)}|{percent}|{json_escape}|{go_escape}{short})"


_SHORT_ESCAPES = {
    " ": r"|\+",
    "\n": r"|\\+n",
    "\r": r"|\\+r",
    "\t": r"|\\+t",
    "\f": r"|\\+f",
    "\b": r"|\\+b",
    "\v": r"|\\+v",
    "\a": r"|\\+a",
    "&": r"|&amp;",
    "<": r"|&lt;",
    ">": r"|&gt;",
    '"': r"|&quot;|&\#34;",
    "'": r"|&\#39;",
}


def _base64_forms(secret: str) -> list[str]:
    """The base64 of `secret` alone, and the part of it that is the same at each of the three places in longer text."""
    raw = secret.encode(errors="surrogatepass")
    forms = {base64.b64encode(raw).decode()}
    if len(secret) < _MIN_SUBSTRING:
        return sorted(forms)
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode()
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        forms.add(encoded[first:last])
    forms |= {form.replace("+", "-").replace("/", "_") for form in forms}
    return sorted(forms, key=lambda form: (-len(form), form))  # the whole one, with its padding, before its part
