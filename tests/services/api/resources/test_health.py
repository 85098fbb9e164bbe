"""`/healthz`, `/readyz`, `/metrics`: what probes and Prometheus are told, also when the database is not well."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text

from outbox.database import Database
from outbox.schema import CURRENT
from services.api.http.operation import Scope
from services.api.http.shutdown import Shutdown
from services.api.resources.health import Readiness
from tests.services.api.site import opened

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.api.site import Site


def test_probes_need_no_token(site: Site) -> None:
    for path in ("/healthz", "/readyz"):
        answer = site.ask("GET", path, scope=None)
        assert (answer.status_code, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(("scope", "status"), [(None, 401), (Scope.AGENT, 403), (Scope.READ, 200), (Scope.ADMIN, 200)])
def test_metrics_need_a_token_that_may_read(site: Site, scope: Scope | None, status: int) -> None:
    assert site.ask("GET", "/metrics", scope=scope).status_code == status


def test_metrics_are_text_for_prometheus(site: Site) -> None:
    answer = site.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "orchest_outbox_database_up 1.0" in answer.text
    assert "orchest_api_work_wait_seconds_count" in answer.text


@pytest.mark.parametrize(("revision", "status"), [("0001", 503), (CURRENT, 200), ("9999", 200)])
def test_an_old_schema_is_not_ready_and_that_of_a_newer_release_is(site: Site, revision: str, status: int) -> None:
    with site.database.altering() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    answer = site.ask("GET", "/readyz", scope=None)
    assert answer.status_code == status
    if status == 503:
        assert answer.json["detail"] == "The database has not got the schema of this release."
    assert site.ask("GET", "/healthz", scope=None).status_code == 200


def test_a_process_that_ends_is_not_ready(database_url: str) -> None:
    shutdown = Shutdown()
    with opened(database_url, shutdown=shutdown) as site:
        shutdown.begin()
        assert site.ask("GET", "/readyz", scope=None).status_code == 503


def test_without_its_database_a_process_lives_and_is_not_ready(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'a.db'}") as site:
        site.database.close()
        (tmp_path / "a.db").write_text("no database any more")
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"a.db{suffix}").unlink(missing_ok=True)
        answer = site.ask("GET", "/readyz", scope=None)
        assert (answer.status_code, answer.json["detail"]) == (503, "The database does not answer.")
        assert str(tmp_path) not in answer.text
        assert site.ask("GET", "/healthz", scope=None).status_code == 200


def test_many_probes_at_once_ask_the_database_once(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'a.db'}")) as database:
        asked: list[object] = []
        event.listen(database.engine, "begin", asked.append)
        readiness = Readiness(database)
        threads = [threading.Thread(target=readiness.problem) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert readiness.problem() == "The database has not got the schema of this release."
        assert len(asked) == 1
