"""Long work as its rows tell it: one at a time for each cluster, and nothing stays `running` that does not run."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from reconciler.history import CycleOutcome, History
from services.api.domain import operations
from services.api.domain.operations import (
    SILENCE,
    Ending,
    OperationKind,
    OperationRecord,
    OperationRow,
    OperationState,
    Wish,
)
from services.api.http.problems import ApiError
from tests.reconciler.cycles import finish, outcome, start

if TYPE_CHECKING:
    from tests.services.api.site import Site

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WISH = Wish(OperationKind.PAUSE, "orchest", "cluster-1", "somebody")


def begin(site: Site, wish: Wish = WISH, now: datetime = NOW) -> OperationRecord:
    with site.database.writing() as session:
        return operations.begin(session, wish, now)


def end(site: Site, uuid: UUID, state: OperationState = OperationState.SUCCEEDED) -> None:
    with site.database.writing() as session:
        operations.finish(session, uuid, Ending(state, "Said."), NOW)


def alter(site: Site, uuid: UUID, **values: object) -> None:
    with site.database.writing() as session:
        session.execute(update(OperationRow).where(OperationRow.uuid == uuid).values(**values))


def of_dead_process(site: Site, uuid: UUID) -> None:
    program = "from reconciler.holder import Holder; print(Holder.this_process())"
    holder = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()
    alter(site, uuid, holder=holder)


def seen(site: Site, uuid: UUID, now: datetime = NOW) -> OperationRecord:
    with site.database.reading() as session:
        return operations.show_operation(session, uuid, now)


def recorded_cycle(site: Site, ended: CycleOutcome | None) -> UUID:
    begun, history = start(), History(site.database)
    history.record_start(begun)
    history.record_outcomes(begun.id, [outcome()])
    if ended is not None:
        history.record_finish(begun.id, finish(outcome=ended, message="how it ended"))
    return begun.id


def test_a_cluster_has_one_running_operation_and_other_clusters_have_theirs(site: Site) -> None:
    first = begin(site)
    with pytest.raises(ApiError) as refused:
        begin(site)
    assert refused.value.status is HTTPStatus.CONFLICT
    assert refused.value.headers == {"Location": f"/api/operations/{first.uuid}"}
    begin(site, replace(WISH, name="cluster-2"))
    begin(site, replace(WISH, namespace="other"))
    end(site, first.uuid)
    begin(site)


def test_of_many_at_the_same_moment_one_begins(site: Site) -> None:
    def attempt(_: int) -> UUID | str:
        try:
            return begin(site).uuid
        except ApiError as error:
            return error.headers["Location"]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(attempt, range(16)))
    (begun,) = (one for one in found if isinstance(one, UUID))
    assert found.count(f"/api/operations/{begun}") == 15


def test_an_operation_of_a_killed_process_is_interrupted_and_gives_way(site: Site) -> None:
    first = begin(site)
    of_dead_process(site, first.uuid)
    shown = seen(site, first.uuid)
    assert (shown.state, shown.progress, shown.finished_at) == (OperationState.INTERRUPTED, "", None)
    assert "without a last word" in shown.message
    second = begin(site, now=NOW + timedelta(seconds=1))
    assert second.state is OperationState.RUNNING
    settled = seen(site, first.uuid)
    assert (settled.state, settled.finished_at) == (OperationState.INTERRUPTED, NOW + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("ended", "state", "message"),
    [
        (CycleOutcome.DONE, OperationState.SUCCEEDED, "how it ended"),
        (CycleOutcome.FAILED, OperationState.FAILED, "how it ended"),
        (None, OperationState.INTERRUPTED, "without a last word"),
    ],
)
def test_what_the_history_knows_of_a_killed_operation_is_told(
    site: Site, ended: CycleOutcome | None, state: OperationState, message: str
) -> None:
    first = begin(site)
    cycle = recorded_cycle(site, ended)
    with site.database.writing() as session:
        operations.note_cycle(session, first.uuid, cycle)
    of_dead_process(site, first.uuid)
    shown = seen(site, first.uuid)
    assert shown.state is state
    assert message in shown.message


def test_an_operation_on_another_host_is_alive_as_long_as_its_heart_beats(site: Site) -> None:
    first = begin(site)
    alter(site, first.uuid, holder="elsewhere/1/abcdef0123/7")
    assert seen(site, first.uuid, NOW + SILENCE).state is OperationState.RUNNING
    assert seen(site, first.uuid, NOW + SILENCE + timedelta(seconds=1)).state is OperationState.INTERRUPTED
    with site.database.writing() as session:
        operations.beat(session, first.uuid, "Wave 2: 9 actions", NOW + SILENCE)
    shown = seen(site, first.uuid, NOW + 2 * SILENCE)
    assert (shown.state, shown.progress) == (OperationState.RUNNING, "Wave 2: 9 actions")


def test_the_last_word_counts_even_if_somebody_took_the_operation_for_dead(site: Site) -> None:
    first = begin(site)
    begin(site, now=NOW + 2 * SILENCE)
    assert seen(site, first.uuid).state is OperationState.INTERRUPTED
    end(site, first.uuid)
    assert seen(site, first.uuid).state is OperationState.SUCCEEDED


def test_an_operation_is_shown_with_what_came_of_its_actions_so_far(site: Site) -> None:
    running = begin(site, now=datetime.now(UTC))
    shown = site.ask("GET", f"/api/operations/{running.uuid}").json
    assert (shown["state"], shown["outcomes"], shown["created_by"]) == ("running", [], "somebody")
    alter(site, running.uuid, cycle_uuid=uuid4())  # Its record waits in the spool.
    assert site.ask("GET", f"/api/operations/{running.uuid}").json["outcomes"] == []
    alter(site, running.uuid, cycle_uuid=recorded_cycle(site, None))
    (action,) = site.ask("GET", f"/api/operations/{running.uuid}").json["outcomes"]
    assert (action["object_key"], action["result"], action["seconds"]) == (outcome().object_key, "done", 1.5)


def test_a_heartbeat_alone_is_no_news_for_who_polls(site: Site) -> None:
    running = begin(site, now=datetime.now(UTC))
    path = f"/api/operations/{running.uuid}"
    etag = {"If-None-Match": site.ask("GET", path).headers["etag"]}
    with site.database.writing() as session:
        operations.beat(session, running.uuid, "", datetime.now(UTC))
    assert site.ask("GET", path, headers=etag).status_code == HTTPStatus.NOT_MODIFIED
    with site.database.writing() as session:
        operations.beat(session, running.uuid, "Writing", datetime.now(UTC))
    assert site.ask("GET", path, headers=etag).json["progress"] == "Writing"


def test_operations_are_listed_in_pages_newest_first(site: Site) -> None:
    begun = [str(begin(site, replace(WISH, name=f"c{number}")).uuid) for number in range(5)]
    found: list[str] = []
    params: dict[str, str] = {"limit": "2"}
    while True:
        page = site.ask("GET", "/api/operations", params=params).json
        assert len(page["operations"]) <= 2
        found += [one["uuid"] for one in page["operations"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert found == begun[::-1]


def test_an_operation_that_is_not_there_is_not_found(site: Site) -> None:
    assert site.ask("GET", f"/api/operations/{uuid4()}").status_code == 404
    assert site.ask("GET", "/api/operations/first").status_code == 404
