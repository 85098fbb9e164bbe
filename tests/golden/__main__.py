"""Write every golden plan anew; then read the difference as a reviewer would."""

from __future__ import annotations

from tests.golden.case import CASES, as_people_see_it, as_programs_see_it, plan_of

for case in CASES:
    made = plan_of(case)
    (case / "plan.txt").write_text(as_people_see_it(made), encoding="utf-8")
    (case / "plan.json").write_text(as_programs_see_it(made), encoding="utf-8")
