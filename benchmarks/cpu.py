"""CPU time of processes and all that descend from them, by /proc. Linux only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TICKS = os.sysconf("SC_CLK_TCK")


def seconds(roots: Iterable[int]) -> float:
    """So far, user and system; children that have ended and been waited for included."""
    parents, spent = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _fields(folder)):
            pid = int(folder.name)
            parents[pid] = int(fields[1])
            spent[pid] = sum(map(int, fields[11:15])) / _TICKS
    wanted = set(roots)
    return sum(cpu for pid, cpu in spent.items() if wanted & _line_of(pid, parents))


def _fields(folder: Path) -> list[str]:
    """Of `stat`, from the state on; none when the process has just ended."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _line_of(pid: int, parents: dict[int, int]) -> set[int]:
    """The process and its ancestors."""
    line = {pid}
    while pid := parents.get(pid, 0):
        line.add(pid)
    return line
