"""Does a file that somebody holds open survive its removal by another machine? Not on network file systems."""

from __future__ import annotations

import os
from functools import cache

_FORGETFUL = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p"})


@cache
def forgets_unlinked_files(path: str) -> bool:
    """By the type of the file system that holds the path; False where mounts cannot be listed."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            mounts = file.read()
    except OSError:
        return False
    return type_of_mount(mounts, os.path.realpath(path)) in _FORGETFUL


def type_of_mount(mountinfo: str, path: str) -> str:
    """The type of the file system that holds an absolute path, by the text of a mountinfo file. Pure."""
    best, found = "", ""
    for line in mountinfo.splitlines():
        mount, _, rest = line.partition(" - ")
        fields = mount.split(" ")
        if not rest or len(fields) < 5:
            continue
        point = _unescaped(fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # A later mount on the same point covers the earlier one.
        if inside and len(point) >= len(best):
            best, found = point, rest.split(" ")[0]
    return found


def _unescaped(field: str) -> str:
    """Blank, tab, newline and backslash are octal there."""
    for character in " \t\n\\":
        field = field.replace(f"\\{ord(character):03o}", character)
    return field
