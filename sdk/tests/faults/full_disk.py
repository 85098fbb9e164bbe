"""Outputs to disks that are full, files that may not grow, and directories that may not be written to.

In: a folder, a kind. Out: what was not as promised. An output either fails as documented, with the earlier one
untouched and nothing left behind, or it is whole.
"""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Callable, NamedTuple

from .children import Ending, forked
from .kills import leftovers
from .scenes import EARLIER, NEW, SIZE, read_as
from .site import CONSUMER, PRODUCER, PRODUCER_TITLE, Site
from .small_disk import PAGE, Unavailable, made_read_only, mounted

_NOBODY = 65534
UNAVAILABLE = "unavailable: "


class Trials(NamedTuple):
    refused: int
    whole: int
    broken: tuple[str, ...]


def outgrown(root: str, kind: str) -> Trials:
    """Files may not grow beyond a limit, which is set to every stage of an output in turn."""
    site = Site(Path(root)).lay_out()
    length = forked(lambda: _earlier(site, kind)).said()
    limits = [0, 1, 10, 40, 4096, length // 2, length - 300, length - 1, length, length + 1000]
    return _judged({f"limit {limit}": forked(lambda: _limited(site, kind, limit)) for limit in limits})  # noqa: B023


def filled(root: str, kind: str) -> Trials:
    """A disk on which so many pages are left, from none to more than enough."""
    return _in_namespace(lambda: _filled(root, kind))


def read_only(root: str, kind: str) -> Trials:
    return _in_namespace(lambda: _read_only(root, kind))


def forbidden(root: str, kind: str) -> Trials:
    """The directory belongs to somebody else."""
    site = Site(Path(root)).lay_out()
    forked(lambda: _earlier(site, kind)).said()
    return _judged({"another user": forked(lambda: _as_nobody(site, kind))})


def _in_namespace(work: Callable[[], Trials]) -> Trials:
    ending = forked(work)
    if ending.failure and Unavailable.__name__ in ending.failure:
        return Trials(0, 0, (UNAVAILABLE + ending.failure.splitlines()[-1],))
    trials: Trials = ending.said()
    return trials


def _filled(root: str, kind: str) -> Trials:
    mounted(root, 400)
    site = Site(Path(root)).lay_out()
    forked(lambda: _earlier(site, kind)).said()
    endings = {}
    for left in [*range(5), 20, *range(46, 60, 2), 200]:
        filler = Path(root) / "filler"
        status = os.statvfs(root)
        filler.write_bytes(bytes(max(0, status.f_bavail - left) * PAGE))
        endings[f"{left} pages left"] = forked(lambda: _attempted(site, kind))
        filler.unlink()
        forked(lambda: _earlier(site, kind)).said()
    return _judged(endings)


def _read_only(root: str, kind: str) -> Trials:
    mounted(root, 400)
    site = Site(Path(root)).lay_out()
    forked(lambda: _earlier(site, kind)).said()
    made_read_only(root)
    return _judged({"read-only": forked(lambda: _attempted(site, kind))})


def _as_nobody(site: Site, kind: str) -> str:
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    return _attempted(site, kind)


def _limited(site: Site, kind: str, limit: int) -> str:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    forked(lambda: _earlier(site, kind)).said()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    said = _attempted(site, kind)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return said


def _earlier(site: Site, kind: str) -> int:
    """The length of its data."""
    site.enter(PRODUCER, durable=False)
    site.output(kind, EARLIER, SIZE)
    return site.data(site.headed()[0]).stat().st_size


def _attempted(site: Site, kind: str) -> str:
    """`refused` or `whole`; an assertion fails for anything else."""
    from orchest import error

    site.enter(PRODUCER)
    said, number = "whole", NEW
    try:
        site.output(kind, NEW, SIZE)
    except error.SerializationError as refused:
        said, number = "refused", EARLIER
        message = str(refused)
        assert PRODUCER_TITLE in message, message
        assert str(site.directory) in message, message
    left = leftovers(site, kind)
    assert not left, f"left behind: {left}"
    site.enter(CONSUMER)
    reading = site.read()
    assert reading == read_as(kind, number), f"{said}, but {reading}"
    return said


def _judged(endings: dict[str, Ending]) -> Trials:
    said = [ending.value for ending in endings.values()]
    broken = [f"{label}: {ending.failure or ending.code}" for label, ending in endings.items() if ending.value is None]
    return Trials(said.count("refused"), said.count("whole"), tuple(broken))
