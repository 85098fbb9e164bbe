"""Image references, and the one rule by which a component's image is decided (design, rule 4).

In: an image as somebody wrote it. Out: its parts with Docker Hub's many spellings made one, and the decision whether a
component follows the release or keeps what Git says. Never: a look at a registry; a reference is judged by its text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from desired_state.release import THIRD_PARTY_IMAGES, Component, release_image

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

DOCKER_HUB = "docker.io"
_HUB_HOSTS = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_DEFAULT_TAG = "latest"
_NAME_LENGTH = 255
_TAG_LENGTH = 128
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
_PATH_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DIGEST = re.compile(r"(?P<algorithm>[a-z0-9]+):(?P<hex>[0-9a-f]+)")
_RELEASE_TAG = re.compile(r"v[0-9]{4}\.[0-9]{2}\.[0-9]+")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


class ImageSyntaxError(ValueError):
    """Not an image reference; the message says what is wrong and the mend."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """The parts of an image reference. `registry` and `repository` are normalised (`docker.io`, `library/postgres`)."""

    registry: str
    repository: str
    tag: str = ""
    """"" when not written."""
    digest: str = ""
    """`sha256:...`, "" when not written."""

    @property
    def canonical(self) -> str:
        """The whole reference with nothing implied; equal for all spellings of one image."""
        return f"{self.registry}/{self.repository}{self._version(self.tag or ('' if self.digest else _DEFAULT_TAG))}"

    @property
    def familiar(self) -> str:
        """As short as people write it: `postgres:13.1`, `orchest/orchest-api:v2022.10.1`."""
        if self.registry != DOCKER_HUB:
            return f"{self.registry}/{self.repository}{self._version(self.tag)}"
        name = self.repository.removeprefix("library/")
        is_short = "/" not in name and _IMAGE_ID.fullmatch(name) is None
        return f"{name if is_short else self.repository}{self._version(self.tag)}"

    def _version(self, tag: str) -> str:
        return (f":{tag}" if tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_image(text: str) -> ImageReference:
    """`[registry[:port]/]repository[:tag][@digest]`, as a container runtime reads it.

    Raises ImageSyntaxError.
    """
    if not text:
        raise ImageSyntaxError("an image is empty: name one, or leave the field out to follow the release")
    if text != text.strip() or any(character.isspace() for character in text):
        raise ImageSyntaxError(f"image {text!r} holds white space: remove it")
    if "://" in text:
        raise ImageSyntaxError(f'image "{text}" begins with a scheme: leave out everything up to and including "://"')
    name, at, digest = text.partition("@")
    # A colon before the last slash belongs to the registry's port.
    slash = name.rfind("/")
    colon = name.find(":", slash + 1)
    tag = name[colon + 1 :] if colon >= 0 else ""
    _check_tag(text, tag, is_written=colon >= 0)
    _check_digest(text, digest, is_written=bool(at))
    registry, repository = _registry_and_repository(text, name[:colon] if colon >= 0 else name)
    return ImageReference(registry, repository, tag, digest)


def _registry_and_repository(text: str, name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    # Without a dot, a port or the name localhost the first part belongs to a repository on Docker Hub.
    if slash and ("." in first or ":" in first or first == "localhost"):
        if _HOST.fullmatch(first) is None:
            raise ImageSyntaxError(f'image "{text}": "{first}" is not a registry: write host or host:port')
        registry, repository = first.lower(), rest
    else:
        registry, repository = DOCKER_HUB, name
    if registry.removesuffix(":443") in _HUB_HOSTS:
        registry = DOCKER_HUB
    if len(name) > _NAME_LENGTH:
        raise ImageSyntaxError(
            f"image {text[:40]!r}...: its name has {len(name)} characters: at most {_NAME_LENGTH} are allowed"
        )
    _check_repository(text, repository, registry)
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository


def _check_repository(text: str, repository: str, registry: str) -> None:
    if _IMAGE_ID.fullmatch(repository) and registry == DOCKER_HUB:
        raise ImageSyntaxError(f'image "{text}" is an image id: name the repository it was pulled from')
    for component in repository.split("/"):
        if not component:
            raise ImageSyntaxError(
                f'image "{text}" has an empty part in its name: remove the extra "/" or name the image'
            )
        if _PATH_COMPONENT.fullmatch(component):
            continue
        if _PATH_COMPONENT.fullmatch(component.lower()):
            raise ImageSyntaxError(f'image "{text}": a repository is lower case: write "{component.lower()}"')
        raise ImageSyntaxError(
            f'image "{text}": "{component}" is not a part of a repository: '
            'use lower-case letters and digits, with single ".", "_" or "-" between them'
        )


def _check_tag(text: str, tag: str, *, is_written: bool) -> None:
    if not is_written:
        return
    if not tag:
        raise ImageSyntaxError(f'image "{text}": the tag is empty: remove the ":" or name a tag')
    if len(tag) > _TAG_LENGTH:
        raise ImageSyntaxError(
            f"image {text[:40]!r}...: its tag has {len(tag)} characters: at most {_TAG_LENGTH} are allowed"
        )
    if _TAG.fullmatch(tag) is None:
        raise ImageSyntaxError(
            f'image "{text}": "{tag}" is not a tag: use letters, digits, "_", "." and "-", not "." or "-" first'
        )


def _check_digest(text: str, digest: str, *, is_written: bool) -> None:
    if not is_written:
        return
    match = _DIGEST.fullmatch(digest)
    if match is None or match["algorithm"] not in _DIGEST_LENGTHS:
        known = ", ".join(_DIGEST_LENGTHS)
        raise ImageSyntaxError(
            f'image "{text}": "{digest}" is not a digest: write algorithm:hex in lower case, algorithm one of {known}'
        )
    wanted = _DIGEST_LENGTHS[match["algorithm"]]
    if len(match["hex"]) != wanted:
        raise ImageSyntaxError(
            f'image "{text}": a {match["algorithm"]} digest has {wanted} hex digits, this one has {len(match["hex"])}'
        )


_MAJOR_IN_TAG = re.compile(r"(?:^|[.-])pg(?P<major>[0-9]{1,2})(?![0-9])")
_MAJOR_AS_TAG = re.compile(r"v?(?P<major>[0-9]{1,2})(?:[.-].*)?")


def postgres_major(image: str) -> int | None:
    """The PostgreSQL major that an image's tag promises (`postgres:13.1` is 13); None when the tag does not say."""
    try:
        reference = parse_image(image)
    except ImageSyntaxError:
        return None
    if match := _MAJOR_IN_TAG.search(reference.tag):
        return int(match["major"])
    name = reference.repository.rpartition("/")[2]
    match = _MAJOR_AS_TAG.fullmatch(reference.tag) if "postg" in name else None
    return int(match["major"]) if match else None


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


ORIGINAL_THIRD_PARTY_IMAGES = {
    Component.ORCHEST_DATABASE: "postgres:13.1",
    Component.RABBITMQ_SERVER: "rabbitmq:3",
}
"""What the original controller wrote for the components that it did not build. It took them from Docker Hub, whatever
the registry; one of a user's own registry is that user's choice."""


def decide_image(
    component: Component,
    written: str | None,
    *,
    version: str,
    registry: str,
    former_registries: Iterable[str],
    pinned: Collection[str],
) -> ImageDecision:
    """Which image `component` runs in release `version`.

    `written` is what Git says (None and "" are unset); `registry` and `former_registries` are prefixes of release
    images, now and earlier ("" is Docker Hub, which always counts); `pinned` names components that keep even a release
    image.
    Raises ImageSyntaxError when `written` is not an image.
    """
    release = release_image(component, registry=registry, version=version)
    if not written:
        return ImageDecision(
            component, release, ImageSource.RELEASE, "", f"unset in Git: follows the release, {_of(component, version)}"
        )
    if not _is_release_image(component, written, registries=("", registry, *former_registries)):
        return ImageDecision(component, written, ImageSource.CUSTOM, written, _custom_reason(component))
    if component in pinned:
        reason = "a release image, kept as written because orchest.io/pin-images names this component"
        return ImageDecision(component, written, ImageSource.PINNED, written, reason)
    reason = (
        f'"{written}" is what the original controller wrote as its default: follows the release, '
        f"{_of(component, version)}; orchest.io/pin-images would keep it"
    )
    return ImageDecision(component, release, ImageSource.ORIGINAL_DEFAULT, written, reason)


def _of(component: Component, version: str) -> str:
    return f"whose own image for it is {THIRD_PARTY_IMAGES[component]}" if component in THIRD_PARTY_IMAGES else version


def _custom_reason(component: Component) -> str:
    kept = "set in Git to an image that is not the release's: kept exactly as written on every update"
    if component is Component.RABBITMQ_SERVER:
        return f"{kept}; the broker of this release speaks Redis, so this image must speak the Redis protocol too"
    return kept


def _is_release_image(component: Component, written: str, *, registries: Iterable[str]) -> bool:
    image = parse_image(written)
    if image.digest:
        return False
    if component in ORIGINAL_THIRD_PARTY_IMAGES:
        return image.canonical == parse_image(ORIGINAL_THIRD_PARTY_IMAGES[component]).canonical
    if component in THIRD_PARTY_IMAGES or _RELEASE_TAG.fullmatch(image.tag) is None:
        return False
    releases = (parse_image(release_image(component, registry=registry, version=image.tag)) for registry in registries)
    return image in releases
