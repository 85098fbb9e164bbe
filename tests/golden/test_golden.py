from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.golden.case import CASES, as_people_see_it, as_programs_see_it, plan_of

if TYPE_CHECKING:
    from pathlib import Path


def test_there_are_golden_cases() -> None:
    assert len(CASES) >= 8


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_plan_is_the_golden_one(case: Path) -> None:
    made = plan_of(case)
    assert as_people_see_it(made) == (case / "plan.txt").read_text(encoding="utf-8")
    assert as_programs_see_it(made) == (case / "plan.json").read_text(encoding="utf-8")
