"""An output that ends, or fails, at each of its changes to files in turn, over every scene.

In: a folder, a kind. Out: what was not as promised, and how many points there were.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Callable, NamedTuple

from .children import forked
from .kills import leftovers
from .scenes import NEW, NEXT, SCENES, SIZE, earlier, keeps, read_as, renewed
from .site import CONSUMER, PRODUCER, PRODUCER_TITLE, Reading, Site
from .system_calls import BROKEN, DIED, FULL, TAKES_SPACE, Changes, Dies, Fails, Fault


class Points(NamedTuple):
    """How many points there were, in how many of them each of both outputs was read, and what was wrong."""

    points: int
    earlier: int
    new: int
    broken: tuple[str, ...]


class _Point(NamedTuple):
    """A site, the kind of its outputs, and the scene and fault of this one."""

    site: Site
    kind: str
    scene: str
    fault: Fault = None


def died_everywhere(root: str, kind: str) -> Points:
    """An output is ended before each change, and with each write half done; then read, then made anew."""

    def faults(calls: list[str]) -> list[Fault]:
        torn = [Dies(at, torn=True) for at, call in enumerate(calls) if call == "write"]
        return [*(Dies(at) for at in range(len(calls))), *torn]

    def outcome(point: _Point) -> Reading:
        ending = forked(lambda: _suffered(point))
        assert ending.code == DIED, ending
        return _then(point)

    return _everywhere(root, kind, faults, outcome)


def failed_everywhere(root: str, kind: str) -> Points:
    """Each change fails: once with an error of the medium, and from there on for want of space."""

    def faults(calls: list[str]) -> list[Fault]:
        full = [Fails(at, FULL, always=True) for at, call in enumerate(calls) if call in TAKES_SPACE]
        return [*(Fails(at, BROKEN) for at in range(len(calls))), *full]

    return _everywhere(root, kind, faults, _failed)


def _everywhere(
    root: str, kind: str, faults: Callable[[list[str]], list[Fault]], outcome: Callable[[_Point], Reading]
) -> Points:
    broken: list[str] = []
    readings: list[str] = []
    for scene in SCENES:
        whole = _Point(Site(Path(root) / "site").lay_out(), kind, scene)
        calls = forked(lambda: _suffered(whole)).said()  # noqa: B023
        shutil.rmtree(whole.site.root)
        names = {earlier(scene, kind): "earlier", renewed(scene, kind): "new"}
        for fault in faults(calls):
            point = whole._replace(fault=fault)
            point.site.lay_out()
            try:
                reading = outcome(point)
                readings.append(names.get(reading) or f"{scene}, {fault}: {reading}")
            except Exception as problem:  # noqa: BLE001  # each is the point's, and the others are still to come
                broken.append(f"{scene}, {fault}: {type(problem).__name__}: {problem}")
            shutil.rmtree(point.site.root)
    wrong = [reading for reading in readings if reading not in ("earlier", "new")]
    return Points(len(readings), readings.count("earlier"), readings.count("new"), (*broken, *wrong))


def _prepare(point: _Point) -> None:
    site, kind, scene, _ = point
    site.enter(PRODUCER, durable=False, keeps=keeps(scene))
    SCENES[scene](site, kind)
    site.enter(PRODUCER, keeps=keeps(scene))


def _suffered(point: _Point) -> list[str]:
    """The changes that there were, if it comes to the end."""
    _prepare(point)
    with Changes(point.fault) as changes:
        point.site.output(point.kind, NEW, SIZE)
    return [change.call for change in changes.seen]


def _failed(point: _Point) -> Reading:
    """What is read after a failure that was told well and left nothing."""
    from orchest import error

    site = point.site
    _prepare(point)
    refused: Exception | None = None
    with Changes(point.fault):
        try:
            site.output(point.kind, NEW, SIZE)
        except error.SerializationError as problem:
            refused = problem
    if refused is not None:
        message = str(refused)
        assert PRODUCER_TITLE in message, message
        assert str(site.directory) in message, message
    if refused is None or (isinstance(point.fault, Fails) and point.fault.always):
        temporary = [name for name in site.files() if name.startswith(".tmp-")]
        assert not temporary, f"left behind by the failure: {temporary}"
    return _then(point)


def _then(point: _Point) -> Reading:
    """What is read, once the next output has proved to be whole, with nothing left beside it."""
    site, kind = point.site, point.kind
    site.enter(CONSUMER)
    reading = site.read()
    site.enter(PRODUCER)
    site.output(kind, NEXT, SIZE)
    left = leftovers(site, kind)
    assert not left, f"left behind by the next output: {left}"
    site.enter(CONSUMER)
    assert site.read() == read_as(kind, NEXT), "the next output is not what is read"
    return reading
