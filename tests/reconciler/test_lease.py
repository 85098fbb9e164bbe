"""Who holds the Lease of a cluster, and when it may be taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.holder import Holder
from reconciler.lease import DURATION_SECONDS, consumed_plans, is_free

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ELSEWHERE = Holder("another-machine", 42, "0123456789", "1000")


def lease(identity: str | None, seconds_ago: float = 1) -> dict[str, Any]:
    renewed = (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"metadata": {}, "spec": {"holderIdentity": identity, "leaseDurationSeconds": 15, "renewTime": renewed}}


@pytest.mark.parametrize(
    ("found", "free"),
    [
        (lease(""), True),
        (lease(None), True),
        ({"metadata": {}, "spec": {}}, True),
        (lease(str(ELSEWHERE)), False),
        (lease(str(ELSEWHERE), seconds_ago=DURATION_SECONDS + 1), True),
        (lease("a-tool-of-somebody"), False),
        (lease("a-tool-of-somebody", seconds_ago=16), True),
        (lease(str(Holder.this_process())), False),
        (lease(str(replace(Holder.this_process(), started="1"))), True),
    ],
)
def test_a_lease_is_taken_only_from_nobody_or_from_the_dead(found: dict[str, Any], free: bool) -> None:
    assert is_free(found, NOW) is free


def test_used_plans_are_listed_oldest_first() -> None:
    assert consumed_plans({"metadata": {"annotations": {"orchest.io/consumed-plans": "a,b"}}}) == ["a", "b"]
    assert consumed_plans({"metadata": {}}) == []
