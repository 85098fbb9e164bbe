"""Stored plans without Kubernetes: what is kept, for how long, and who is refused before anybody asks a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from desired_state.origin import Origin, OriginKind
from outbox.key_ring import KeyRing, KeyRingError
from reconciler.plans import as_plan_file
from services.api.domain import operations, plans
from services.api.domain.operations import OperationKind, Wish
from tests.diff import worlds
from tests.services.api.site import KEY

if TYPE_CHECKING:
    from diff.plan_file import PlanFile
    from tests.services.api.site import Site

SECRET = f"s{uuid4().hex}"
MANIFESTS = (("documents.0", f"password: {SECRET}"), ("documents.1", "more"))
PATH = "/api/clusters/orchest/cluster-1/plans"


def plan_file(hours: float = 1) -> PlanFile:
    made = worlds.planned(worlds.usual_rendering(), worlds.empty_snapshot())
    return as_plan_file(made, Origin(OriginKind.SENT, "d" * 64), lifetime_hours=hours)


def stored(site: Site, made: PlanFile | None = None, now: datetime | None = None) -> str:
    with site.database.writing() as session:
        uuid = plans.store(
            session,
            site.parts.key_ring,
            made or plan_file(),
            MANIFESTS,
            created_by="somebody",
            now=now or datetime.now(UTC),
        )
    return str(uuid)


def listed(site: Site) -> list[str]:
    return [one["uuid"] for one in site.ask("GET", PATH).json["plans"]]


def test_a_stored_plan_is_shown_whole_and_listed_in_short(site: Site) -> None:
    made = plan_file()
    uuid = stored(site, made)
    shown = site.ask("GET", f"/api/plans/{uuid}").json
    assert shown["document"]["plan_id"] == uuid == made.header.plan_id
    assert shown["document"]["digest"] == made.header.digest
    assert (shown["state"], shown["created_by"], shown["noop"]) == ("ready", "somebody", False)
    assert shown["origin"] == "manifests sent to the API"
    (short,) = site.ask("GET", PATH).json["plans"]
    assert short == {name: value for name, value in shown.items() if name != "document"}


def test_the_manifests_of_a_plan_come_back_and_lie_encrypted_bound_to_their_row(site: Site) -> None:
    uuid, other = stored(site), stored(site)
    with site.database.reading() as session:
        assert plans.manifests_of(session, site.parts.key_ring, UUID(uuid)) == MANIFESTS
        row = session.get_one(plans.PlanRow, UUID(uuid))
        moved = row.manifests
        assert SECRET.encode() not in moved + row.document.encode()
        with pytest.raises(KeyRingError):
            site.parts.key_ring.decrypt(moved, f"plans/{other}/manifests")
        with pytest.raises(KeyRingError):
            plans.manifests_of(session, KeyRing([KEY[::-1]]), UUID(uuid))
    assert SECRET not in site.ask("GET", f"/api/plans/{uuid}").text


def test_a_plan_expires_and_is_forgotten_a_week_later_unless_it_was_used(site: Site) -> None:
    now = datetime.now(UTC)
    expired = stored(site, plan_file(hours=-1))
    assert site.ask("GET", f"/api/plans/{expired}").json["state"] == "expired"
    unused, used = (stored(site, plan_file(hours=-24 * 7 - 1)) for _ in range(2))
    with site.database.writing() as session:
        wish = Wish(OperationKind.APPLY, "orchest", "cluster-1", "somebody", plan_uuid=UUID(used))
        operation = operations.begin(session, wish, now)
        operations.note_cycle(session, operation.uuid, uuid4())
    last = stored(site)
    assert listed(site) == [last, used, expired]
    assert site.ask("GET", f"/api/plans/{unused}").status_code == 404
    shown = site.ask("GET", f"/api/plans/{used}").json
    assert (shown["state"], shown["operation_uuid"]) == ("applied", str(operation.uuid))


def test_plans_are_listed_in_pages_newest_first(site: Site) -> None:
    made = [stored(site) for _ in range(3)]
    first = site.ask("GET", PATH, params={"limit": "2"}).json
    assert [one["uuid"] for one in first["plans"]] == [made[2], made[1]]
    second = site.ask("GET", PATH, params={"limit": "2", "cursor": first["next_cursor"]}).json
    assert ([one["uuid"] for one in second["plans"]], second["next_cursor"]) == ([made[0]], None)
    assert site.ask("GET", "/api/clusters/orchest/other/plans").json["plans"] == []


DOCUMENT = {"name": "c.yaml", "text": "a"}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "body.documents"),
        ({"documents": []}, "body.documents"),
        ({"documents": [DOCUMENT] * 201}, "body.documents"),
        ({"documents": [{"name": "c.yaml"}]}, "body.documents.0.text"),
        ({"documents": [{**DOCUMENT, "path": "/etc/passwd"}]}, "body.documents.0.*"),
        ({"documents": [{**DOCUMENT, "name": "a\nb"}]}, "body.documents.0.name"),
        ({"documents": [DOCUMENT], "origin": {"location": "a\u0000"}}, "body.origin.location"),
        ({"documents": [DOCUMENT], "origin": {"commit": "main"}}, "body.origin.commit"),
        ({"documents": [DOCUMENT], "origin": {"kind": "files"}}, "body.origin.*"),
        ({"documents": [DOCUMENT], "expires_hours": 0}, "body.expires_hours"),
        ({"documents": [DOCUMENT], "expires_hours": "1"}, "body.expires_hours"),
    ],
)
def test_a_body_that_is_no_plans_is_refused(site: Site, body: Any, where: str) -> None:
    answer = site.ask("POST", PATH, json=body)
    assert answer.status_code == 400
    assert [one["where"] for one in answer.json["errors"]] == [where]


def test_an_api_without_kubernetes_says_so(site: Site) -> None:
    uuid = stored(site)
    one = "/api/clusters/orchest/cluster-1"
    asked: list[tuple[str, str, Any]] = [
        ("GET", "/api/clusters", None),
        ("GET", one, None),
        ("GET", f"{one}/plan", None),
        ("GET", f"{one}/drift", None),
        ("POST", PATH, {"documents": [DOCUMENT]}),
        ("POST", f"/api/plans/{uuid}/apply", {}),
        ("POST", f"{one}/pause", {}),
        ("POST", f"{one}/resume", {}),
        ("POST", f"{one}/rollback", {"cycle": str(uuid4())}),
    ]
    for method, path, body in asked:
        answer = site.ask(method, path, **({} if body is None else {"json": body}))
        assert (answer.status_code, "manages no clusters" in answer.json["detail"]) == (404, True), path


def test_time_is_told_with_its_zone(site: Site) -> None:
    shown = site.ask("GET", f"/api/plans/{stored(site)}").json
    lifetime = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["created_at"])
    assert timedelta(minutes=59) < lifetime <= timedelta(hours=1)
