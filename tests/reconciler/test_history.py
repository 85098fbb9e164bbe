from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from sqlalchemy import exc, text

from desired_state.origin import Origin, OriginKind
from outbox.database import Database
from outbox.events.errors import UnknownEventTypeError
from outbox.events.types import EventType
from reconciler.history import CycleOutcome, CycleStart, Entry, History, HistoryError, content_digest
from reconciler.holder import Holder
from tests.reconciler.cycles import NOON, event, finish, open_history, outcome, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def history(database_url: str) -> Iterator[History]:
    with open_history(database_url) as history:
        yield history


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same database by another door."""
    database = Database(database_url)
    yield database
    database.close()


def numbered(digits: str, **changes: object) -> CycleStart:
    return start(id=UUID(digits.ljust(32, "0")), **changes)


def test_a_cycle_comes_back_as_it_was_recorded(history: History) -> None:
    begun, done = start(), finish()
    history.record_start(begun)
    history.record_outcomes(begun.id, [outcome()])
    history.record_finish(begun.id, done)

    detail = history.show(str(begun.id))

    assert detail.outcomes == (outcome(),)
    cycle = detail.cycle
    assert (cycle.id, cycle.cluster, cycle.origin) == (begun.id, begun.cluster, begun.origin)
    assert (cycle.plan_id, cycle.plan_digest) == (begun.plan_id, begun.plan_digest)
    assert (cycle.started_at, cycle.finished_at) == (begun.started_at, done.finished_at)
    assert (cycle.outcome, cycle.message, cycle.counts) == (done.outcome, done.message, done.counts)
    assert history.content(cycle.plan_document) == begun.plan_document
    assert history.content(cycle.snapshot_before) == begun.snapshot
    assert cycle.snapshot_after is not None
    assert history.content(cycle.snapshot_after) == done.snapshot


@pytest.mark.parametrize(
    "origin",
    [
        Origin(OriginKind.STDIN, "d"),
        Origin(OriginKind.FILES, "d", ("/fleet/a.yaml", "/fleet/b.yaml")),
        Origin(OriginKind.GIT, "d", (), "/fleet", "HEAD~1", "c" * 40, ""),
        Origin(OriginKind.SENT, "d", (), "https://git.example/fleet", "main", "c" * 40, ""),
        Origin(OriginKind.CLUSTER, "d"),
    ],
)
def test_every_kind_of_origin_survives(history: History, origin: Origin) -> None:
    begun = start(origin=origin)
    history.record_start(begun)
    assert history.show(str(begun.id)).cycle.origin == origin


def test_outcomes_keep_the_order_in_which_they_were_recorded(history: History) -> None:
    begun = start()
    history.record_start(begun)
    recorded = [outcome(object_key=f"Service/orchest/{number}") for number in (3, 1, 2)]
    history.record_outcomes(begun.id, recorded[:1])
    history.record_outcomes(begun.id, recorded[1:])
    assert history.show(str(begun.id)).outcomes == tuple(recorded)


def test_recording_no_outcome_changes_nothing(history: History) -> None:
    begun = start()
    history.record_start(begun)
    history.record_outcomes(begun.id, [])
    assert history.show(str(begun.id)).outcomes == ()


def test_an_outcome_belongs_to_a_cycle_that_was_started(history: History) -> None:
    with pytest.raises(exc.IntegrityError):
        history.record_outcomes(uuid4(), [outcome()])


def test_a_cycle_that_could_not_be_observed_afterwards_has_no_snapshot_after(history: History) -> None:
    begun = start()
    history.record_start(begun)
    history.record_finish(begun.id, finish(outcome=CycleOutcome.FAILED, snapshot=None))
    cycle = history.show(str(begun.id)).cycle
    assert cycle.snapshot_after is None
    assert cycle.outcome is CycleOutcome.FAILED


def test_the_newest_comes_first_and_no_more_than_asked(history: History) -> None:
    cycles = [start(started_at=NOON + timedelta(minutes=minutes)) for minutes in (1, 3, 2)]
    for cycle in cycles:
        history.record_start(cycle)
    assert [cycle.id for cycle in history.list(2)] == [cycles[1].id, cycles[2].id]


def test_equal_contents_are_stored_once(history: History, database: Database) -> None:
    for _ in range(3):
        begun = start()
        history.record_start(begun)
        history.record_finish(begun.id, finish(snapshot=begun.snapshot))
    with database.reading() as session:
        stored: dict[str, bytes] = dict(session.execute(text("SELECT digest, compressed FROM contents")).all())
    begun = start()
    assert {digest: zlib.decompress(data) for digest, data in stored.items()} == {
        content_digest(data): data for data in (begun.plan_document, begun.snapshot)
    }


def test_a_plan_that_equals_its_snapshot_is_stored_once_too(history: History) -> None:
    begun = start(plan_document=b"same", snapshot=b"same")
    history.record_start(begun)
    assert history.content(content_digest(b"same")) == b"same"


def test_a_snapshot_takes_a_fraction_of_its_size(history: History, database: Database) -> None:
    snapshot = b'{"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1}}' * 1000
    history.record_start(start(snapshot=snapshot))
    with database.reading() as session:
        query = text("SELECT size, length(compressed) FROM contents WHERE digest = :digest")
        size, compressed = session.execute(query, {"digest": content_digest(snapshot)}).one()
    assert size == len(snapshot)
    assert compressed < size / 10


def test_damaged_content_is_noticed(history: History, database: Database) -> None:
    begun = start()
    history.record_start(begun)
    digest = content_digest(begun.snapshot)
    for damage in (b"rubbish", zlib.compress(b"something else")):
        with database.writing() as session:
            session.execute(
                text("UPDATE contents SET compressed = :data WHERE digest = :digest"),
                {
                    "data": damage,
                    "digest": digest,
                },
            )
        with pytest.raises(HistoryError, match=r"is damaged. Restore the database from a backup"):
            history.content(digest)


def test_content_that_is_not_there_gets_the_mend(history: History) -> None:
    with pytest.raises(HistoryError, match=r"no content ffffffffffff in the history. `orchest history` lists"):
        history.content("f" * 64)


def test_the_start_of_an_id_is_enough_while_it_is_unique(history: History) -> None:
    for digits in ("aaaa1", "aaaa2", "b"):
        history.record_start(numbered(digits))
    assert history.show("b").cycle.id == numbered("b").id
    assert history.show("AAAA2000-0000").cycle.id == numbered("aaaa2").id
    with pytest.raises(HistoryError, match=r"several cycles begin with aaaa. Give more of the id"):
        history.show("aaaa")


@pytest.mark.parametrize("wrong", ["", "xyz", "a" * 33, "latest"])
def test_what_is_no_id_is_refused(history: History, wrong: str) -> None:
    with pytest.raises(HistoryError, match=r"is not the id of a cycle. `orchest history` lists them"):
        history.show(wrong)


def test_an_id_that_is_not_there_gets_the_mend(history: History) -> None:
    with pytest.raises(HistoryError, match=r"no cycle cafe. `orchest history` lists them"):
        history.show("cafe")


def test_a_cycle_of_this_process_is_running(history: History) -> None:
    begun = start()
    history.record_start(begun)
    assert history.list(1)[0].outcome is CycleOutcome.RUNNING


APPLY = """
import time
from tests.reconciler.cycles import open_history, outcome, start
with open_history({url!r}) as history:
    cycle = start()
    history.record_start(cycle)
    history.record_outcomes(cycle.id, [outcome()])
    print(cycle.id, flush=True)
    time.sleep(60)
"""


def killed_cycle(url: str) -> str:
    """The id of a cycle whose process was killed between two actions."""
    program = APPLY.format(url=url)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        cycle = process.stdout.readline().strip()
        with open_history(url) as history:
            assert history.show(cycle).cycle.outcome is CycleOutcome.RUNNING
        os.kill(process.pid, signal.SIGKILL)
    return cycle


def test_a_cycle_whose_process_was_killed_is_interrupted_and_keeps_its_outcomes(database_url: str) -> None:
    cycle = killed_cycle(database_url)
    with open_history(database_url) as history:
        detail = history.show(cycle)
    assert detail.cycle.outcome is CycleOutcome.INTERRUPTED
    assert detail.outcomes == (outcome(),)


def holder_of_another_host(database: Database) -> None:
    with database.writing() as session:
        session.execute(text("UPDATE cycles SET holder = 'another-host/1/0123456789/1'"))


def test_a_process_of_another_host_is_not_judged_by_its_number(history: History, database: Database) -> None:
    history.record_start(start())
    holder_of_another_host(database)
    assert history.list(1)[0].outcome is CycleOutcome.RUNNING


def test_a_later_process_with_the_same_number_is_not_mistaken_for_the_holder(
    history: History, database: Database
) -> None:
    history.record_start(start())
    with database.writing() as session:
        holder = str(replace(Holder.this_process(), started="12345"))
        session.execute(text("UPDATE cycles SET holder = :holder"), {"holder": holder})
    assert history.list(1)[0].outcome is CycleOutcome.INTERRUPTED


def test_the_next_cycle_of_a_cluster_ends_what_still_seems_to_run_there(history: History, database: Database) -> None:
    lost, other_cluster = start(), start()
    other_cluster = replace(other_cluster, cluster=replace(lost.cluster, name="cluster-2"))
    history.record_start(lost)
    history.record_start(other_cluster)
    holder_of_another_host(database)
    history.record_start(start())
    assert history.show(str(lost.id)).cycle.outcome is CycleOutcome.INTERRUPTED
    assert history.show(str(other_cluster.id)).cycle.outcome is CycleOutcome.RUNNING


def test_the_last_word_of_a_cycle_counts_even_after_it_was_given_up(history: History) -> None:
    slow = start()
    history.record_start(slow)
    history.record_start(start())
    assert history.show(str(slow.id)).cycle.outcome is CycleOutcome.INTERRUPTED
    history.record_finish(slow.id, finish())
    cycle = history.show(str(slow.id)).cycle
    assert cycle.outcome is CycleOutcome.DONE
    assert cycle.message == ""


def test_a_cycle_is_recorded_once(history: History) -> None:
    begun = start()
    history.record_start(begun)
    with pytest.raises(exc.IntegrityError):
        history.record_start(begun)


def test_the_mark_of_a_dead_cycle_and_the_new_cycle_are_one_transaction(history: History) -> None:
    lost = start()
    history.record_start(lost)
    with pytest.raises(exc.IntegrityError):
        history.record_start(replace(start(), id=lost.id))
    assert history.show(str(lost.id)).cycle.outcome is CycleOutcome.RUNNING


def test_forty_objects_are_stored_in_milliseconds(history: History) -> None:
    """A generous bound, the best of ten: it fails when storing becomes quadratic, not when the machine is busy."""
    noise = random.Random(7)
    snapshot = b"".join(
        b'{"kind": "Deployment", "uid": "%d", "spec": {}}' % noise.getrandbits(64) for _ in range(40 * 30)
    )
    seconds = []
    for number in range(10):
        begun = start(snapshot=snapshot + b"%d" % number)
        before = time.perf_counter()
        history.record_start(begun)
        seconds.append(time.perf_counter() - before)
    assert min(seconds) < 0.05


# --- events, and records that come a second time ---------------------------------------------------------------------


def events_in(database: Database) -> list[str]:
    with database.reading() as session:
        return sorted(session.scalars(text("SELECT type FROM events")))


def test_each_step_records_its_events(history: History, database: Database) -> None:
    begun = start()
    history.record_start(begun, [event(EventType.CLUSTER_DRIFT_DETECTED)])
    assert events_in(database) == ["cluster:drift-detected"]
    history.record_outcomes(begun.id, [outcome()], [event(EventType.CLUSTER_UPDATED)])
    assert events_in(database) == ["cluster:drift-detected", "cluster:updated"]
    history.record_finish(begun.id, finish(), [event(EventType.CLUSTER_PLAN_APPLIED)])
    assert events_in(database) == ["cluster:drift-detected", "cluster:plan-applied", "cluster:updated"]


def test_a_step_and_its_events_are_one_transaction(history: History, database: Database) -> None:
    """The second of two events cannot be recorded: neither the first nor the step itself is."""
    begun = start()
    history.record_start(begun)
    wrong = [event(), replace(event(), type="cluster:unheard-of")]
    steps: tuple[Callable[[], None], ...] = (
        lambda: history.record_start(start(), wrong),
        lambda: history.record_outcomes(begun.id, [outcome()], wrong),
        lambda: history.record_finish(begun.id, finish(), wrong),
    )
    for step in steps:
        with pytest.raises(UnknownEventTypeError):
            step()
    assert events_in(database) == []
    assert [cycle.id for cycle in history.list(5)] == [begun.id]
    assert history.show(str(begun.id)).outcomes == ()
    assert history.list(1)[0].outcome is CycleOutcome.RUNNING


def test_an_entry_may_come_again_and_grow(history: History, database: Database) -> None:
    begun, told = start(), event()
    one, two = outcome(object_key="Service/orchest/one"), outcome(object_key="Service/orchest/two")
    history.record_entry(Entry(begun, (one,)), [told])
    history.record_entry(Entry(begun, (one, two)), [told])
    for _ in range(2):
        history.record_entry(Entry(begun, (one, two), finish()), [told])
    history.record_entry(Entry(begun), [])

    detail = history.show(str(begun.id))
    assert detail.outcomes == (one, two)
    assert (detail.cycle.outcome, detail.cycle.finished_at) == (CycleOutcome.DONE, finish().finished_at)
    assert events_in(database) == [told.type]


def test_an_entry_keeps_the_process_that_carried_it_out(history: History) -> None:
    begun = start()
    history.record_entry(Entry(begun, holder=str(replace(Holder.this_process(), started="12345"))))
    assert history.list(1)[0].outcome is CycleOutcome.INTERRUPTED
