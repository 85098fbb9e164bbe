"""Ready means ready for a while, and patience ends."""

from __future__ import annotations

import pytest

from desired_state.objects import ObjectKey
from diff.action import Action, Precondition, Readiness, ReadinessRule, Reason, Verb
from diff.readiness import Assessment, ReadinessState
from reconciler.wait import Ending, Pending

READY, PROGRESSING, FAILED = (Assessment(state, "") for state in ReadinessState)


def pending(rule: ReadinessRule = ReadinessRule.DEPLOYMENT) -> Pending:
    key = ObjectKey("apps", "Deployment", "orchest", "orchest-api")
    readiness = Readiness(rule, timeout_seconds=10, hold_seconds=2)
    return Pending(Action(key, Verb.WAIT, Reason.NOT_READY, 3, (), Precondition("u", ""), readiness), deadline=10)


@pytest.mark.parametrize(
    ("seen", "ending"),
    [
        ([(0, READY)], None),
        ([(0, READY), (2, READY)], Ending.READY),
        ([(0, READY), (1, PROGRESSING), (2, READY)], None),
        ([(0, READY), (1, PROGRESSING), (2, READY), (4, READY)], Ending.READY),
        ([(0, PROGRESSING), (9, PROGRESSING)], None),
        ([(0, PROGRESSING), (10, PROGRESSING)], Ending.FAILED),
        ([(0, PROGRESSING), (10, READY), (12, READY)], Ending.READY),
        ([(0, FAILED)], Ending.FAILED),
        ([(0, READY), (1, FAILED)], Ending.FAILED),
    ],
)
def test_an_object_is_ready_when_it_has_been_so_without_a_break(
    seen: list[tuple[float, Assessment]], ending: Ending | None
) -> None:
    wait = pending()
    *before, last = [wait.ended(assessment, moment) for moment, assessment in seen]
    assert before == [None] * len(before)
    assert last == ending


def test_what_is_gone_need_not_stay_gone_for_a_while() -> None:
    assert pending(ReadinessRule.GONE).ended(READY, 0) is Ending.READY
