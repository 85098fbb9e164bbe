"""Which process does something: a name that another process of the same machine can check for life.

In: /proc. Out: whether the named process is known to be dead. Never: a guess about another machine, container or boot.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """One process, named so that another process on the same machine can tell whether it still runs."""

    host: str
    pid: int
    place: str
    """Digest of boot and pid namespace: only there the pid means anything."""
    started: str
    """Start time of the process in clock ticks, since pids are used again."""

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.place}/{self.started}"

    @classmethod
    def parse(cls, identity: str) -> Holder | None:
        """None for an identity that is not of our making."""
        match identity.split("/"):
            case [host, pid, place, started] if pid.isdigit():
                return cls(host, int(pid), place, started)
        return None

    @classmethod
    def this_process(cls) -> Holder:
        return cls(socket.gethostname(), os.getpid(), _place(), _started(os.getpid()))

    @property
    def is_gone(self) -> bool:
        """Known to be dead: it ran here, and does not run any more. False when we cannot know."""
        return bool(self.place) and self.place == _place() and self.started != _started(self.pid)


def is_gone(identity: str) -> bool:
    """Whether the process of that name is known to be dead; of a name that is not of our making nothing is known."""
    holder = Holder.parse(identity)
    return holder is not None and holder.is_gone


def _place() -> str:
    """Where a pid means something; empty without /proc: then nobody is ever known to be gone."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        return ""
    space = f"{socket.gethostname()} {boot.read_text()} {Path('/proc/self/ns/pid').readlink()}"
    return blake2b(space.encode(), digest_size=5).hexdigest()


def _started(pid: int) -> str:
    """Field 22 of /proc/PID/stat, counted behind the command name, which may hold anything; "" when there is no such
    process, or only what its parent has not asked for yet.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
