"""`orchest apply` on a real server while the PostgreSQL that it records to is away: what is told, and what arrives."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.exit_codes import ExitCode
from tests.cluster.test_cli import Place
from tests.cluster.workbench import facts_of
from tests.command_line import orchest
from tests.torture.outbox.servers import PostgreSQL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.cluster.launcher import Cluster


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server = PostgreSQL(Path(folder) / "server", durable=False)
        yield server
        server.close()


@pytest.fixture
def place(api_only_cluster: Cluster, api_only_namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A manifest, and a server on which nothing becomes ready."""
    facts_of(api_only_cluster.kubeconfig)
    monkeypatch.setenv("KUBECONFIG", str(api_only_cluster.kubeconfig))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Place(api_only_cluster, api_only_namespace, tmp_path)


def event_types() -> list[str]:
    return sorted(event["type"] for event in json.loads(orchest("events", "list", "-o", "json").succeeded().out))


def test_an_apply_during_an_outage_says_so_and_its_record_arrives_later(
    place: Place, server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHEST_DATABASE_URL", server.url)
    spool = tmp_path / "state" / "orchest" / "spool.db"
    server.stop_at_once()

    result = orchest("apply", "-f", place.file, "--yes", "--timeout", "1").succeeded(ExitCode.ERROR)
    assert result.err.count(f"waits in {spool} until the shared database takes it") == 1
    assert "Recorded as" in result.err
    waiting = orchest("history", "-o", "json").succeeded()
    assert f"Only what waits in {spool} is shown (1 cycles)" in waiting.err
    (cycle,) = json.loads(waiting.out)

    server.start()
    listed = orchest("history", "-o", "json").succeeded()
    assert "Copied from" in listed.err
    assert json.loads(listed.out) == [cycle]
    assert orchest("history", cycle["id"]).succeeded().err == ""
    assert event_types() == ["cluster:created", "cluster:plan-applied", "cluster:unhealthy"]


def test_an_apply_that_can_be_recorded_nowhere_writes_nothing(
    place: Place, server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the database nor the spool: then nothing is written to the cluster either."""
    monkeypatch.setenv("ORCHEST_DATABASE_URL", server.url)
    server.stop_at_once()
    (tmp_path / "state" / "orchest" / "spool.db").mkdir(parents=True)
    orchest("apply", "-f", place.file, "--yes").failed(ExitCode.ERROR, "Check that PostgreSQL runs", "cannot wait")
    assert set(place.objects) <= {"Lease/orchest-c"}
