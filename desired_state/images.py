"""Image references, and the one rule by which a component's image is decided (design, rule 4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ImageSource(StrEnum):
    RELEASE = "release"
    """Unset in Git: follows the release."""
    CUSTOM = "custom"
    """Set in Git: deployed exactly as written and kept on every update."""
    ORIGINAL_DEFAULT = "original-default"
    """Set in Git, but it is what the original controller wrote as its default: follows the release."""
    PINNED = "pinned"
    """A release image that `orchest.io/pin-images` keeps as written."""


@dataclass(frozen=True, slots=True)
class ImageDecision:
    component: str
    image: str
    """What is deployed."""
    source: ImageSource
    written: str
    """What Git says, "" when unset."""
    reason: str
    """One sentence for the plan."""
