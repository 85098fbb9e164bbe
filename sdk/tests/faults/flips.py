"""Files with one bit changed, or cut: every such file is refused, or what is read is exactly what was written.

In: a folder, a kind, a size, which bytes. Out: what was returned, or raised beyond what is documented. A process tries
them one after the other and leaves its place in shared memory, so that one that dies tells where.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from .children import forked
from .payloads import SERIALIZATION, Mixture
from .site import CONSUMER, PRODUCER, Reading, Site

if TYPE_CHECKING:
    from collections.abc import Iterable

_NUMBER = 5
_PER_CHILD = 17_000


class Damage(NamedTuple):
    """How many were tried, how many of them were refused, and what was wrong."""

    tried: int
    refused: int
    broken: tuple[str, ...]


def flipped(root: str, kind: str, size: int, count: int | None, seed: int) -> Damage:
    """One bit of every byte, or of `count` bytes at random; the bits take turns."""
    written = _written(root, kind, size)
    everywhere = range(len(written[2]))
    return _flipped(written, everywhere if count is None else random.Random(seed).sample(everywhere, count))


def flipped_part(root: str, kind: str, size: int, part: int, parts: int) -> Damage:
    """One bit of every byte of one of several parts of the file."""
    written = _written(root, kind, size)
    return _flipped(written, range(part, len(written[2]), parts))


def _flipped(written: tuple[Site, Path, bytes], places: Iterable[int]) -> Damage:
    site, path, content = written

    def flip(place: int) -> None:
        _put(path, place, bytes([content[place] ^ 1 << place % 8]))

    def mend(place: int) -> None:
        _put(path, place, content[place : place + 1])

    return _tried(site, places, flip, mend)


def flipped_head(root: str, kind: str, bits: int) -> Damage:
    """So many bits of each byte of HEAD."""
    site, _, _ = _written(root, kind, 16_000)
    content = site.head.read_bytes()

    def flip(place: int) -> None:
        byte, bit = divmod(place, bits)
        _put(site.head, byte, bytes([content[byte] ^ 1 << (byte + bit) % 8]))

    def mend(place: int) -> None:
        byte = place // bits
        _put(site.head, byte, content[byte : byte + 1])

    return _tried(site, range(len(content) * bits), flip, mend)


def cut(root: str, kind: str, size: int, count: int | None, seed: int) -> Damage:
    """Cut at every length, or at `count` lengths at random, the longest first."""
    site, path, content = _written(root, kind, size)
    lengths = range(len(content)) if count is None else random.Random(seed).sample(range(len(content)), count)
    return _tried(site, sorted(lengths, reverse=True), lambda length: os.truncate(path, length), lambda _: None)


_FAR = 1_500_000
"""A byte in a buffer of more than 1 MiB, of the file below."""
_FAR_SIZE = 24 << 20


def lazily(root: str, kind: str) -> tuple[str, ...]:
    """What comes of a read, the call after it, and the one after that, when a byte of a large buffer is damaged."""
    site, path, content = _written(root, kind, _FAR_SIZE)
    _put(path, _FAR, bytes([content[_FAR] ^ 1]))
    return tuple(forked(lambda: _read_lazily(site)).said())


def _read_lazily(site: Site) -> list[str]:
    from orchest import error, transfer

    site.enter(CONSUMER, verify="lazy")
    site.inputs()
    said = ["read"]
    deadline = time.monotonic() + 20
    while said == ["read"] and time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            transfer.describe(PRODUCER)
        except error.DeserializationError:
            said.append("DeserializationError")
    transfer.describe(PRODUCER)
    return [*said, "read"]


def unverified(root: str, kind: str) -> tuple[str, ...]:
    """What comes of reading without checksums a file with a damaged byte, then the same cut."""
    site, path, content = _written(root, kind, _FAR_SIZE)
    _put(path, _FAR, bytes([content[_FAR] ^ 1]))
    first = forked(lambda: _read_unverified(site)).said()
    os.truncate(path, len(content) // 2)
    return first, forked(lambda: _read_unverified(site)).said()


def _read_unverified(site: Site) -> str:
    site.enter(CONSUMER, verify="off")
    try:
        return str(site.read().error)
    except Mixture:
        return "Mixture"


def _written(root: str, kind: str, size: int) -> tuple[Site, Path, bytes]:
    site = Site(Path(root)).lay_out()
    forked(lambda: _output(site, kind, size)).said()
    path = site.data(SERIALIZATION[kind] or "PICKLE")
    return site, path, path.read_bytes()


def _output(site: Site, kind: str, size: int) -> None:
    site.enter(PRODUCER, durable=False)
    site.output(kind, _NUMBER, size)


def _put(path: Path, place: int, byte: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, byte, place)
    os.close(descriptor)


def _tried(site: Site, places: Iterable[int], damage: Callable[[int], None], mend: Callable[[int], None]) -> Damage:
    """In one process after the other, each for so many places that none of them takes long."""
    everywhere = list(places)
    damages = [
        _tried_in_a_child(site, everywhere[start : start + _PER_CHILD], damage, mend)
        for start in range(0, len(everywhere), _PER_CHILD)
    ]
    broken = tuple(problem for one in damages for problem in one.broken)
    return Damage(sum(one.tried for one in damages), sum(one.refused for one in damages), broken)


def _tried_in_a_child(
    site: Site, places: list[int], damage: Callable[[int], None], mend: Callable[[int], None]
) -> Damage:
    place = mmap.mmap(-1, 8)
    ending = forked(lambda: _read_each(site, places, damage, mend, place))
    if ending.failure or ending.code:
        at = struct.unpack("q", place[:8])[0]
        return Damage(0, 0, (f"at {at}: {ending.failure or f'the reader ended with {ending.code}'}",))
    return Damage(*ending.value)


def _read_each(
    site: Site, places: list[int], damage: Callable[[int], None], mend: Callable[[int], None], place: Any
) -> tuple[int, int, tuple[str, ...]]:
    site.enter(CONSUMER)
    whole = site.read()
    assert whole.error is None, whole
    refused = 0
    broken = []
    for one in places:
        place[:8] = struct.pack("q", one)
        damage(one)
        try:
            reading = site.read()
        except Exception as other:  # noqa: BLE001  # that is what is looked for
            broken.append(f"at {one}: {type(other).__name__}: {other}")
            reading = Reading((), "another")
        refused += reading.error is not None
        if reading.error is None and reading != whole:
            broken.append(f"at {one}: {reading}")
        mend(one)
    return len(places), refused, tuple(broken)
