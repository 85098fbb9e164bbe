"""What a step's directory may look like when an output begins.

In: a site whose producer this process is. Out: a directory with an earlier output, or with what became of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from .children import forked
from .original_writer import output_in_place
from .payloads import NUMPY, SMALL, TABLE, kind_of, name_of
from .site import PRODUCER, Reading
from .system_calls import DIED, Changes, DiesAfterRename

if TYPE_CHECKING:
    from .site import Site

SIZE = 200_000
"""Bytes of the values: more than what is written in one piece, and with a buffer of its own."""
FIRST, EARLIER, NEW, NEXT = 0, 1, 2, 3
"""Numbers of the outputs."""


def _nothing(site: Site, kind: str) -> None:
    """The first output of all."""


def _the_same(site: Site, kind: str) -> None:
    site.output(kind, EARLIER, SIZE)


def _other_serialization(site: Site, kind: str) -> None:
    site.output(_other(kind), EARLIER, SIZE)


def _of_the_original(site: Site, kind: str) -> None:
    output_in_place(site, kind, EARLIER, SIZE)


def _leftovers(site: Site, kind: str) -> None:
    """Of writers that were killed, under every kind of name."""
    site.output(kind, EARLIER, SIZE)
    for name in (".tmp-4711-abc", f"{PRODUCER}.7.PICKLE", f"{PRODUCER}.7.ARROW_TABLE"):
        (site.directory / name).write_bytes(b"half of an output")


def _between_the_renames(site: Site, kind: str) -> None:
    """A writer was killed when the new data had its name and HEAD did not."""
    site.output(kind, EARLIER, SIZE)
    assert forked(lambda: _output_half(site, kind)).code == DIED


def _output_half(site: Site, kind: str) -> None:
    site.enter(PRODUCER, durable=False)
    with Changes(DiesAfterRename()):
        site.output(kind, NEXT, SIZE)


def _other(kind: str) -> str:
    return TABLE if kind != TABLE else NUMPY


def _kept(site: Site, kind: str) -> None:
    """Two of this very process, under two names."""
    site.output(kind, FIRST, SIZE)
    site.output(kind, EARLIER, SIZE)


SCENES: dict[str, Callable[[Site, str], None]] = {
    "no output": _nothing,
    "the same serialization": _the_same,
    "another serialization": _other_serialization,
    "an output of the original": _of_the_original,
    "leftovers": _leftovers,
    "killed between the renames": _between_the_renames,
    "kept outputs": _kept,
}
KINDS = (SMALL, NUMPY, TABLE)


def keeps(scene: str) -> bool:
    """Whether outputs of other names stay."""
    return scene == "kept outputs"


def earlier(scene: str, kind: str) -> Reading:
    """What a reader gets before the new output."""
    if scene == "no output":
        return Reading((), "DiskOutputNotFoundError")
    if keeps(scene):
        return read_as(kind, FIRST, EARLIER)
    return read_as(_other(kind) if scene == "another serialization" else kind, EARLIER)


def renewed(scene: str, kind: str) -> Reading:
    """What a reader gets afterwards."""
    return read_as(kind, FIRST, EARLIER, NEW) if keeps(scene) else read_as(kind, NEW)


def read_as(kind: str, *numbers: int) -> Reading:
    return Reading(tuple((name_of(kind, number), kind_of(kind, number), number) for number in numbers))
