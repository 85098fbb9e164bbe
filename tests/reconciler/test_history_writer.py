"""What apply tells becomes rows and events; here with plans of the real planner and both kinds of database."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from desired_state.origin import Origin, OriginKind
from diff.plan_file import PlanFile, seal
from outbox.database import Database
from outbox.events.records import EventFilter, list_events
from outbox.schema import migrate
from reconciler.history import CycleOutcome, History
from reconciler.history_writer import HistoryWriter
from reconciler.prepare import Prepared
from reconciler.record import Applied, Outcome, Result, Verdict
from tests.diff import worlds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diff.action import Action
    from reconciler.history import Recording

WANTED = worlds.usual_rendering()
EMPTY = worlds.empty_snapshot()


class Nobody:
    """Does not look."""

    def begin(self) -> None: ...

    def wave_started(self, wave: int, actions: Sequence[Action]) -> None: ...

    def started(self, action: Action) -> None: ...

    def waiting(self, action: Action, message: str) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        migrate(database)
        yield database


def writer(recording: Recording) -> tuple[HistoryWriter, PlanFile]:
    prepared = Prepared(WANTED, EMPTY, worlds.planned(WANTED, EMPTY))
    origin = Origin(OriginKind.STDIN, "d" * 64)
    plan_file = seal(prepared.plan, plan_id="plan-1", created_at=worlds.NOW, expires_at=worlds.NOW, origin=origin)
    return HistoryWriter(recording, plan_file, prepared, worlds.MASKER, Nobody()), plan_file


def outcomes(plan_file: PlanFile) -> tuple[Outcome, ...]:
    return tuple(Outcome(action.key, action.verb, Result.DONE, "", 0.1) for action in plan_file.plan.actions)


def types(database: Database) -> list[str]:
    with database.reading() as session:
        return sorted(event.type for event in list_events(session, EventFilter(), None, 100))


def test_an_apply_leaves_its_cycle_and_its_events(database: Database) -> None:
    writing, plan_file = writer(History(database))
    writing.begin()
    assert types(database) == []
    for outcome in outcomes(plan_file):
        writing.finished(outcome)
    assert types(database) == ["cluster:created"]
    writing.finish(Applied(outcomes(plan_file), Verdict.DONE, ""), b"after")

    assert types(database) == ["cluster:created", "cluster:plan-applied"]
    detail = History(database).show(writing.cycle)
    assert detail.cycle.outcome is CycleOutcome.DONE
    assert len(detail.outcomes) == len(plan_file.plan.actions)
    with database.reading() as session:
        assert {event.facts["cycle_uuid"] for event in list_events(session, EventFilter(), None, 9)} == {writing.cycle}


def test_what_happened_to_the_cluster_is_recorded_with_its_outcome_not_at_the_end(database: Database) -> None:
    """A process killed right after it wrote the OrchestCluster has told so."""
    writing, plan_file = writer(History(database))
    writing.begin()
    (of_cluster,) = (outcome for outcome in outcomes(plan_file) if outcome.key == worlds.CLUSTER)
    writing.finished(of_cluster)
    assert types(database) == ["cluster:created"]


def test_an_outcome_that_came_before_the_record_began_is_told_with_the_next(database: Database) -> None:
    writing, plan_file = writer(History(database))
    first, *rest = outcomes(plan_file)
    writing.finished(first)
    writing.begin()
    for outcome in rest:
        writing.finished(outcome)
    assert History(database).show(writing.cycle).outcomes[0].object_key == str(first.key)


def test_an_apply_that_wrote_nothing_leaves_nothing(database: Database) -> None:
    writing, _ = writer(History(database))
    assert writing.cycle == ""
    assert History(database).list(5) == ()
    assert types(database) == []
