"""Masked snapshots as basis of a plan, and two snapshots side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from desired_state.masking import Masker
from diff.action import ABSENT
from diff.compare import compare_snapshots
from tests.diff import worlds
from tests.diff.worlds import (
    applied,
    changed,
    codes,
    key,
    planned,
    usual_rendering,
    with_object,
    without_object,
    writes,
)

if TYPE_CHECKING:
    from diff.snapshot import Snapshot

API = "Deployment.apps/orchest-api"
OTHER = Masker(b"another key, also 32 bytes long.")


def masked(snapshot: Snapshot, masker: Masker = worlds.MASKER) -> Snapshot:
    objects = {
        where: replace(item, content=masker.mask_content(item.content)) for where, item in snapshot.objects.items()
    }
    return replace(snapshot, objects=objects, masked_by=masker.key_id)


def with_password(password: str) -> Any:
    env = [{"name": "LEVEL", "value": "info"}, {"name": "DB_PASSWORD", "value": password}]
    return usual_rendering(orchest_api=worlds.deployment("orchest-api", env=env))


def test_a_masked_snapshot_gives_the_same_changes_as_the_plain_one() -> None:
    snapshot = applied(usual_rendering())
    assert planned(usual_rendering(), masked(snapshot)).is_empty
    plain, hidden = (planned(with_password("new"), one) for one in (snapshot, masked(snapshot)))
    assert [action.changes for action in plain.actions] == [action.changes for action in hidden.actions]
    assert writes(plain) == [("update", "Deployment.apps/orchest/orchest-api")]


def test_under_another_key_sensitive_values_are_taken_as_equal_and_a_note_says_so() -> None:
    made = planned(with_password("new"), masked(applied(usual_rendering()), OTHER))
    assert writes(made) == []
    assert codes(made) == ["masked-snapshot"]


def test_under_another_key_what_is_not_sensitive_is_still_compared() -> None:
    wanted = usual_rendering(orchest_api=worlds.deployment("orchest-api", "new:v2"))
    assert writes(planned(wanted, masked(applied(usual_rendering()), OTHER))) == [
        ("update", "Deployment.apps/orchest/orchest-api")
    ]


def test_two_snapshots_side_by_side() -> None:
    before = applied(usual_rendering())

    def meddle(body: dict[str, Any]) -> None:
        body["data"] = {"b": "2"}

    after = with_object(without_object(changed(before, "ConfigMap/settings", meddle), API), worlds.config_map("new"))
    found = {history.key: history for history in compare_snapshots(before, after)}
    assert found[key("ConfigMap/new")].verb == "appeared"
    assert found[key(API)].verb == "vanished"
    assert found[key("ConfigMap/settings")].changes == (("data.a", "1", ABSENT), ("data.b", ABSENT, "2"))
    assert len(found) == 3


def test_equal_snapshots_have_no_history_whatever_the_servers_bookkeeping() -> None:
    before = applied(usual_rendering())
    touched = changed(before, API, lambda body: body["metadata"].update(generation=9, managedFields=[]))
    assert compare_snapshots(before, touched) == ()
