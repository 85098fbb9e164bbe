"""What this process holds in memory, as Linux counts it.

In: `/proc/self/status`. Out: MiB, private (anonymous) apart from shared (mapped from files). Never: a sample taken by a
thread beside the work; the peak is the kernel's own.
"""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """MiB. `peak` is of private and shared together, since `settled`."""

    private: float
    shared: float
    peak: float

    @property
    def resident(self) -> float:
        return self.private + self.shared


def settled() -> Memory:
    """What is held when all that is free has gone back to the kernel; the peak starts here.

    Without that, a writer's buffers would come out of memory that this process had before, and not be seen.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return held()


def held() -> Memory:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kib = {name: float(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest}
    return Memory(kib["RssAnon"] / 1024, (kib["RssFile"] + kib["RssShmem"]) / 1024, kib["VmHWM"] / 1024)
