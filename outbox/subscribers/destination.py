"""A subscriber as a sender needs it: decrypted, frozen, never shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Destination:
    subscriber: UUID
    kind: str
    """`webhook` or `analytics`."""
    name: str = ""
    url: str = field(repr=False, default="")
    secrets: tuple[str, ...] = field(repr=False, default=())
    """The current one first, then those still valid during a rotation."""
    headers: tuple[tuple[str, str], ...] = field(repr=False, default=())
    content_type: str = "application/json"
    verify_ssl: bool = True
