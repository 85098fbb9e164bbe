from __future__ import annotations

from typing import TYPE_CHECKING

import orchest
from orchest._store import commit, file_systems
from orchest._store.file_systems import forgets_unlinked_files, type_of_mount

if TYPE_CHECKING:
    import pytest

    from orchest.testing import Site

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /project-dir rw,relatime - nfs4 server:/export rw,vers=4.2
31 22 0:41 / /with\040space rw,relatime shared:2 - cifs //server/share rw
32 22 0:42 / /cover rw - nfs server:/a rw
33 22 0:43 / /cover rw - tmpfs tmpfs rw
34 22 0:44 / /two\012lines\011and\134more rw - smb3 //server/share rw
"""


def test_the_longest_mount_point_decides_and_the_last_of_equals() -> None:
    assert type_of_mount(MOUNTS, "/project-dir/.orchest") == "nfs4"
    assert type_of_mount(MOUNTS, "/project-directory") == "ext4"
    assert type_of_mount(MOUNTS, "/with space/x") == "cifs"
    assert type_of_mount(MOUNTS, "/cover/x") == "tmpfs"
    assert type_of_mount(MOUNTS, "/two\nlines\tand\\more/x") == "smb3"
    assert type_of_mount(MOUNTS, "/") == "ext4"


def test_this_machine_has_a_file_system_that_keeps_what_is_held(tmp_path: object) -> None:
    assert not forgets_unlinked_files(str(tmp_path))


def test_on_a_network_file_system_the_output_before_stays_through_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No NFS can be mounted here, so its answer is given by hand; what follows from it is real."""
    monkeypatch.setattr(commit, "forgets_unlinked_files", bool)
    generations = []
    for number in range(4):
        with site.step("load"):
            orchest.output(bytes([number]) * 100_000, name="data")
        files = sorted(path.name for path in site.data_dir("load").iterdir() if path.name[0] not in ".H")
        generations.append(files)
    step = site.step_uuid("load")
    assert generations == [
        [f"{step}.PICKLE"],
        [f"{step}.1.PICKLE", f"{step}.PICKLE"],
        [f"{step}.2.PICKLE", f"{step}.PICKLE"],
        [f"{step}.3.PICKLE", f"{step}.PICKLE"],
    ]
    assert file_systems.type_of_mount("", "/") == ""
