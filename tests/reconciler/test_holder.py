"""Whether the process that a name stands for is known to be dead."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from reconciler.holder import Holder

ELSEWHERE = Holder("another-machine", 42, "0123456789", "1000")


def test_an_identity_is_read_back() -> None:
    assert Holder.parse(str(ELSEWHERE)) == ELSEWHERE
    assert Holder.parse("somebody-else") is None


def test_a_process_that_was_killed_is_gone_though_its_parent_has_not_asked_for_it() -> None:
    """An orphan's new parent may take its time, and a killed worker of the API must not count as running meanwhile."""
    code = (
        "from reconciler.holder import Holder; import sys; print(Holder.this_process(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        holder = Holder.parse(child.stdout.readline().strip())
        assert holder is not None
        assert not holder.is_gone
        child.kill()
        # Waits for the end, and leaves the zombie to be asked for.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert holder.is_gone


def test_this_process_is_alive_and_a_process_that_ended_is_gone() -> None:
    ours = Holder.this_process()
    assert not ours.is_gone
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True)
    assert replace(ours, pid=int(ended.stdout)).is_gone


def test_a_pid_that_is_used_again_does_not_count_as_alive() -> None:
    assert replace(Holder.this_process(), started="1").is_gone
