"""Where outputs go, and where they do not: hostile folders, hostile uuids, file systems without locks."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from typing import TYPE_CHECKING, Any, Callable

import pytest

import orchest
from orchest import Config, error, transfer

if TYPE_CHECKING:
    from pathlib import Path

    from orchest.testing import Site


_NO_NAMES = ["..", "../..", ".", "a/b", "../../../../outside", "\0", "\ud800", ""]


@pytest.mark.parametrize("uuid", _NO_NAMES)
def test_a_uuid_that_leads_elsewhere_is_refused(site: Site, uuid: str) -> None:
    before = {*site.folder.parent.rglob("*")}
    calls: list[Callable[[], Any]] = [lambda: transfer.describe(uuid), lambda: transfer.resolve(uuid)]
    for call in calls:
        with pytest.raises(error.StepUUIDResolveError, match="can be no step's uuid"):
            call()
    with pytest.raises(error.StepUUIDResolveError):
        Config.get_step_data_dir(uuid)
    assert {*site.folder.parent.rglob("*")} == before


@pytest.mark.parametrize("uuid", ["..", "../../../../outside", "a/b"])
def test_nothing_is_written_outside_of_the_data_folder(site: Site, monkeypatch: pytest.MonkeyPatch, uuid: str) -> None:
    monkeypatch.setenv("ORCHEST_STEP_UUID", uuid)
    before = {*site.folder.parent.rglob("*")}
    with pytest.raises(error.StepUUIDResolveError):
        orchest.output(1, "x")
    assert {*site.folder.parent.rglob("*")} == before


@pytest.mark.parametrize("uuid", [*_NO_NAMES, None, 5, [], {}])
def test_a_parent_with_such_a_uuid_is_told(site: Site, uuid: Any) -> None:
    definition = site.definition
    definition["steps"][site.step_uuid("load")]["uuid"] = uuid
    site.write(definition)
    with site.step("clean"), pytest.raises(error.StepUUIDResolveError):
        orchest.get_inputs(ignore_failure=True)


def test_a_parent_without_a_uuid_is_told(site: Site) -> None:
    definition = site.definition
    del definition["steps"][site.step_uuid("load")]["uuid"]
    site.write(definition)
    with site.step("clean"), pytest.raises(error.StepUUIDResolveError):
        orchest.get_inputs()


def test_a_link_in_the_place_of_the_lock_is_not_written_through(site: Site, tmp_path: Path) -> None:
    """A repository that was cloned may hold one."""
    precious = tmp_path / "precious"
    precious.write_text("what is written here stays", encoding="utf-8")
    site.data_dir("load").mkdir(parents=True)
    (site.data_dir("load") / ".lock").symlink_to(precious)
    with site.step("load"), pytest.raises(error.SerializationError, match="cannot be stored"):
        orchest.output(1, "x")
    assert precious.read_text(encoding="utf-8") == "what is written here stays"


def test_an_output_in_the_middle_of_an_output_of_the_same_thread_is_refused(site: Site) -> None:
    """As in a handler of SIGTERM that puts out what there is: it waited for itself, for ever."""
    with site.step("load"):
        orchest.output("before", "x")
        child = os.fork()
        if not child:
            signal.alarm(10)
            status = 1
            try:
                orchest.output(_PutsOut(), "x")
            except error.SerializationError:
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    with site.step("clean"):
        assert orchest.get_inputs()["x"] == "before"


class _PutsOut:
    def __reduce__(self) -> Any:
        orchest.output("inside", "x")
        return (int, ())


def test_a_file_system_without_locks_takes_outputs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with site.step("load"):
        orchest.output(1, "x")
    with site.step("clean"):
        assert orchest.get_inputs()["x"] == 1


def test_a_name_may_be_longer_than_one_read(site: Site) -> None:
    with site.step("load"):
        orchest.output(1, "n" * 100_000)
    with site.step("clean"):
        assert orchest.get_inputs()["n" * 100_000] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_output_that_may_not_be_read_is_not_called_missing(site: Site) -> None:
    with site.step("load"):
        orchest.output(1, "x")
    site.data_dir("load").chmod(0o700)
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setresuid(65534, 65534, 65534)
            transfer.resolve(site.step_uuid("load"))
        except error.DeserializationError as problem:
            status = 0 if "Let the user of this step read it" in str(problem) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
