"""Release versions: `vYYYY.MM.P`. Anything else is deployed as asked, with a word of warning."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from desired_state.images import ImageSyntaxError, parse_image
from desired_state.objects import Note, Severity
from desired_state.release import RELEASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_RELEASE_VERSION = re.compile(r"v([0-9]{4})\.([0-9]{2})\.([0-9]+)")
_FIRST_OF_OURS = (2026, 11, 0)


def version_notes(version: str) -> Iterator[Note]:
    follow = f"leave the version out to follow this release ({RELEASE})"
    path = "spec.orchest.version"
    match = _RELEASE_VERSION.fullmatch(version)
    if match is None:
        message = f'"{version}" is not a release (vYYYY.MM.P): it becomes the tag of our images. Name one, or {follow}.'
        yield Note(Severity.WARNING, "version-not-a-release", path, message)
    elif tuple(map(int, match.groups())) < _FIRST_OF_OURS:
        message = (
            f'"{version}" is a release of the original, whose images do not know this database, broker and API. '
            f"Name a release from {_FIRST_OF_OURS[0]} on, or {follow}."
        )
        yield Note(Severity.WARNING, "version-of-the-original", path, message)


def is_release_of(image: str, repository: str, registries: Iterable[str]) -> bool:
    """Whether `image` is some release of `repository` in one of `registries` ("" is Docker Hub). No image at all is
    none.
    """
    try:
        written = parse_image(image)
    except ImageSyntaxError:
        return False
    if written.digest or _RELEASE_VERSION.fullmatch(written.tag) is None:
        return False
    prefixes = (f"{registry}/" if registry else "" for registry in registries)
    return any(written == parse_image(f"{prefix}{repository}:{written.tag}") for prefix in prefixes)
