"""One outcome for each action, whatever happened, and one verdict."""

from __future__ import annotations

import pytest

from desired_state.objects import ObjectKey
from diff.action import Action, Precondition, Readiness, ReadinessRule, Reason, Verb
from reconciler.errors import Conflict, Forbidden, OrchestError, Stale
from reconciler.record import Outcome, Record, Result, Verdict, result_of


def action(name: str, verb: Verb = Verb.CREATE) -> Action:
    key = ObjectKey("", "ConfigMap", "orchest", name)
    none = Readiness(ReadinessRule.NONE)
    return Action(key, verb, Reason.NOT_FOUND, 1, (), Precondition("", ""), none, explanation="kept as it is")


ONE, TWO, KEPT = action("one"), action("two"), action("kept", Verb.KEEP)


def done(of: Action) -> Outcome:
    return Outcome(of.key, of.verb, Result.DONE, "", 0.1)


def test_what_was_never_begun_is_recorded_as_such_in_the_plans_order() -> None:
    record = Record([ONE, KEPT, TWO])
    record.halt(OrchestError("no"))
    record.add(done(TWO))
    applied = record.applied()
    assert [outcome.result for outcome in applied.outcomes] == [Result.NOT_STARTED, Result.SKIPPED, Result.DONE]
    assert applied.outcomes[1].message == "kept as it is"
    assert not record.goes_on()


@pytest.mark.parametrize(
    ("error", "verdict", "exit_code", "result"),
    [
        (Stale("moved"), Verdict.STALE, 3, Result.STALE),
        (Conflict("held", ()), Verdict.CONFLICT, 4, Result.FAILED),
        (Forbidden("no"), Verdict.FAILED, 1, Result.FAILED),
    ],
)
def test_the_first_error_decides(error: OrchestError, verdict: Verdict, exit_code: int, result: Result) -> None:
    record = Record([ONE])
    record.halt(error)
    record.halt(OrchestError("a later one"))
    record.interrupt()
    applied = record.applied()
    assert (applied.verdict, applied.exit_code, applied.message) == (verdict, exit_code, str(error))
    assert result_of(error) is result


def test_an_interrupt_that_came_when_all_was_done_changes_nothing() -> None:
    record = Record([ONE, KEPT])
    record.add(done(ONE))
    record.interrupt()
    assert (record.applied().verdict, record.applied().exit_code) == (Verdict.DONE, 0)


def test_an_interrupt_with_something_left_is_the_verdict() -> None:
    record = Record([ONE, TWO])
    record.add(done(ONE))
    record.interrupt()
    assert (record.applied().verdict, record.applied().exit_code) == (Verdict.INTERRUPTED, 130)


def test_a_wait_that_was_given_up_is_an_interrupt_too() -> None:
    record = Record([ONE])
    record.add(done(ONE))
    record.interrupt()
    record.cut_short()
    assert record.applied().verdict is Verdict.INTERRUPTED


def test_who_stops_from_outside_interrupts_like_ctrl_c() -> None:
    stopped: list[bool] = []
    record = Record([ONE, TWO], stops=lambda: bool(stopped))
    record.add(done(ONE))
    assert record.goes_on()
    stopped.append(True)
    assert (record.goes_on(), record.is_interrupted) == (False, True)
    assert record.applied().verdict is Verdict.INTERRUPTED
