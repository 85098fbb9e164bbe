"""One valid request of every operation, and the events it registers. An operation that is missing here fails a test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import update

from outbox.delivery.models import DeliveryRow
from services.api.domain.session_models import InteractiveSessionRow
from tests.reconciler.cycles import start
from tests.services.api.resources.test_history import BEFORE, recorded
from tests.services.api.resources.test_operations import begin, end
from tests.services.api.resources.test_plans import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import falcon.testing

    from services.api.http.operation import Operation
    from tests.services.api.site import Site

Params: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class World:
    """What an example needs to be there first, made through the API itself. Every call makes new ones."""

    site: Site

    def made(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        rest: dict[str, Any] = {} if body is None else {"json": body}
        answer = self.site.ask("POST", path, **rest)
        assert answer.status_code < 300, answer.text
        return answer.json

    def project(self) -> Params:
        return {"project_uuid": self.made("/api/projects/", {"name": f"project {uuid4().hex}"})["uuid"]}

    def pipeline(self) -> Params:
        there = self.project()
        return {**there, "pipeline_uuid": self.made("/api/pipelines/", pipeline(there))["uuid"]}

    def environment(self) -> Params:
        there = self.project()
        return {**there, "environment_uuid": self.made(f"/api/environments/{there['project_uuid']}", {})["uuid"]}

    def draft(self) -> Params:
        """Of a job that runs once."""
        there = self.pipeline()
        return {**there, "job_uuid": self.made("/api/jobs/", job(there))["uuid"]}

    def cron_job(self) -> Params:
        """Confirmed."""
        there = self.pipeline()
        there["job_uuid"] = self.made("/api/jobs/", {**job(there), "cron_schedule": "0 3 * * *"})["uuid"]
        answer = self.site.ask("PUT", f"/api/jobs/{there['job_uuid']}", json={"confirm_draft": True})
        assert answer.status_code == 200, answer.text
        return there

    def paused_cron_job(self) -> Params:
        there = self.cron_job()
        self.made(f"/api/jobs/cronjobs/pause/{there['job_uuid']}")
        return there

    def session(self) -> Params:
        there = self.pipeline()
        with self.site.database.writing() as session:
            session.add(InteractiveSessionRow(**running_session(there)))
        return there

    def webhook(self) -> Params:
        return {"uuid": self.made(WEBHOOKS, webhook())["uuid"]}

    def paused_webhook(self) -> Params:
        there = self.webhook()
        self.made(f"{WEBHOOKS}/{there['uuid']}/pause")
        return there

    def dead_delivery(self) -> Params:
        """Of a webhook of its own, which heard of a project of its own."""
        project_uuid = str(uuid4())
        heard = {"event_type": "project:created", "project_uuid": project_uuid}
        subscriber = self.made(WEBHOOKS, {**webhook(), "subscriptions": [heard]})["uuid"]
        self.made("/api/projects/", {"uuid": project_uuid})
        (delivery,) = self.site.ask("GET", f"{WEBHOOKS}/{subscriber}/deliveries").json["deliveries"]
        with self.site.database.writing() as session:
            session.execute(update(DeliveryRow).where(DeliveryRow.uuid == UUID(delivery["uuid"])).values(status="dead"))
        return {"uuid": delivery["uuid"]}

    def event(self) -> Params:
        self.project()
        return {"uuid": str(self.site.events()[-1].uuid)}

    def cycle(self) -> Params:
        """An apply that has ended, as `orchest apply` records it."""
        begun = start(snapshot=BEFORE)
        return {"cycle": recorded(self.site, begun), **NOWHERE}

    def plan(self) -> Params:
        return {"uuid": stored(self.site), **NOWHERE}

    def operation(self) -> Params:
        """That has ended."""
        begun = begin(self.site)
        end(self.site, begun.uuid)
        return {"uuid": str(begun.uuid)}

    def token(self) -> Params:
        return {"uuid": self.made("/api/tokens", token())["uuid"]}


@dataclass(frozen=True, slots=True)
class Example:
    events: tuple[str, ...] = ()
    """The types it registers, in order."""
    body: Mapping[str, Any] | Callable[[Params], Mapping[str, Any]] | None = None
    given: Callable[[World], Params] = lambda _: {}
    """What is there before; the parameters of the path, and whatever the body needs of it."""
    query: Callable[[Params], Params] = lambda _: {}
    status: int | None = None
    """What is answered here, where it is not the operation's own: there is no Kubernetes, and nobody listens."""

    def request(self, operation: Operation, params: Params) -> dict[str, Any]:
        """Arguments of `Site.ask`, but for the scope."""
        body = self.body(params) if callable(self.body) else self.body
        return {
            "method": str(operation.method),
            "path": operation.path.format(**params),
            "params": self.query(params),
            **({} if body is None else {"json": body}),
        }

    def ask(self, site: Site, operation: Operation) -> falcon.testing.Result:
        return site.ask(**self.request(operation, self.given(World(site))))


WEBHOOKS = "/api/notifications/subscribers/webhooks"
NOWHERE = {"namespace": "orchest", "name": "cluster-1"}
"""There is no Kubernetes here: `tests/cluster` has one."""


def token() -> dict[str, Any]:
    return {"name": f"token {uuid4().hex}", "scopes": ["read"]}


def project() -> dict[str, Any]:
    return {"uuid": str(uuid4()), "name": "A project", "env_variables": {"WHERE": "there"}}


def pipeline(there: Params) -> dict[str, Any]:
    return {"project_uuid": there["project_uuid"], "name": "A pipeline", "env_variables": {"WHO": "me"}}


def definition(there: Params) -> dict[str, Any]:
    return {"name": "A pipeline", "uuid": there["pipeline_uuid"], "version": "1.2.2", "steps": {}, "parameters": {}}


def job(there: Params) -> dict[str, Any]:
    parts = {name: there[name] for name in ("project_uuid", "pipeline_uuid")}
    return {**parts, "name": "A job", "pipeline_definition": definition(there), "parameters": [{}]}


def job_pipeline(there: Params) -> dict[str, Any]:
    return {"pipeline_uuid": there["pipeline_uuid"], "pipeline_definition": definition(there)}


def running_session(there: Params) -> dict[str, Any]:
    uuids = {name: UUID(there[name]) for name in ("project_uuid", "pipeline_uuid")}
    return {**uuids, "status": "RUNNING", "user_services": {}, "created_at": datetime.now(UTC)}


def webhook() -> dict[str, Any]:
    """Nobody listens there, on this machine."""
    subscription = {"event_type": "project:deleted", "project_uuid": str(uuid4())}
    return {"url": "http://127.0.0.1:40009/hook", "name": f"webhook {uuid4().hex[:8]}", "subscriptions": [subscription]}


def analytics() -> dict[str, Any]:
    properties = {"event_properties": {"title": "Failed"}, "derived_properties": {}}
    return {"event": "alert:shown", "properties": properties}


def manifests() -> dict[str, Any]:
    return {"documents": [{"name": "cluster.yaml", "text": "kind: OrchestCluster"}]}


SINCE, UNTIL = "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"

EXAMPLES: dict[str, Example] = {
    "list_projects": Example(given=World.project),
    "create_project": Example(("project:created",), lambda _: project()),
    "show_project": Example(given=World.project),
    "update_project": Example(("project:updated",), {"name": "Another name"}, World.project),
    "delete_project": Example(("project:deleted",), given=World.project),
    "list_pipelines": Example(given=World.pipeline),
    "create_pipeline": Example(("project:pipeline:created",), pipeline, World.project),
    "show_pipeline": Example(given=World.pipeline),
    "update_pipeline": Example(("project:pipeline:updated",), {"name": "Another name"}, World.pipeline),
    "delete_pipeline": Example(("project:pipeline:deleted",), given=World.pipeline),
    "list_environments": Example(given=World.environment),
    "list_project_environments": Example(given=World.environment),
    "create_environment": Example(("project:environment:created",), lambda _: {"uuid": str(uuid4())}, World.project),
    "show_environment": Example(given=World.environment),
    "delete_environment": Example(("project:environment:deleted",), given=World.environment),
    "show_environment_use": Example(given=World.environment),
    "list_jobs": Example(given=World.draft),
    "create_job": Example(("project:one-off-job:created",), job, World.pipeline),
    "show_next_scheduled_job": Example(given=World.cron_job),
    "show_job": Example(given=World.draft),
    "update_job": Example(("project:one-off-job:updated",), {"name": "Another name"}, World.draft),
    "abort_job": Example(("project:cron-job:cancelled",), given=World.cron_job),
    "delete_job": Example(("project:one-off-job:cancelled", "project:one-off-job:deleted"), given=World.draft),
    "change_job_pipeline": Example(("project:one-off-job:updated",), job_pipeline, World.draft),
    "pause_cron_job": Example(("project:cron-job:paused",), given=World.cron_job),
    "resume_cron_job": Example(("project:cron-job:unpaused",), given=World.paused_cron_job),
    "show_session": Example(given=World.session),
    "show_settings": Example(),
    "update_settings": Example(body={"MAX_JOB_RUNS_PARALLELISM": 2}),
    "replace_settings": Example(body={"MAX_JOB_RUNS_PARALLELISM": 3}),
    "list_subscribable_events": Example(),
    "list_subscribers": Example(given=World.webhook),
    "get_subscriber": Example(given=World.webhook),
    "delete_subscriber": Example(given=World.webhook),
    "list_subscribers_of_event": Example(given=lambda _: {"event_type": "project:created"}),
    "list_webhooks": Example(given=World.webhook),
    "create_webhook": Example(body=lambda _: webhook()),
    "update_webhook": Example(body={"name": "Another name"}, given=World.webhook),
    "rotate_webhook": Example(body={}, given=World.webhook),
    "pause_webhook": Example(given=World.webhook),
    "resume_webhook": Example(given=World.paused_webhook),
    "ping_before_creation": Example(body=lambda _: webhook(), status=424),
    "ping_subscriber": Example(given=World.webhook, status=424),
    "list_deliveries": Example(given=World.webhook),
    "list_deliveries_of_event": Example(given=World.event),
    "get_delivery": Example(given=World.dead_delivery),
    "retry_delivery": Example(given=World.dead_delivery),
    "list_queues": Example(),
    "preview_replay": Example(given=World.webhook, query=lambda _: {"since": SINCE, "until": UNTIL}),
    "replay_events": Example(body={"since": SINCE}, given=World.webhook),
    "list_events": Example(given=World.project),
    "show_event": Example(given=World.event),
    "list_event_types": Example(),
    "show_event_type": Example(given=lambda _: {"name": "project:created"}),
    "stream_events": Example(),
    "relay_analytics_event": Example(body=analytics()),
    "relay_analytics_event_below_api": Example(body=analytics()),
    "list_clusters": Example(status=404),
    "show_cluster": Example(given=lambda _: NOWHERE, status=404),
    "show_cluster_plan": Example(given=lambda _: NOWHERE, status=404),
    "show_cluster_drift": Example(given=lambda _: NOWHERE, status=404),
    "pause_cluster": Example(body={}, given=lambda _: NOWHERE, status=404),
    "resume_cluster": Example(body={}, given=lambda _: NOWHERE, status=404),
    "roll_cluster_back": Example(body=lambda there: {"cycle": there["cycle"]}, given=World.cycle, status=404),
    "list_plans": Example(given=World.plan),
    "create_plan": Example(body=manifests(), given=lambda _: NOWHERE, status=404),
    "show_plan": Example(given=World.plan),
    "apply_plan": Example(body={}, given=World.plan, status=404),
    "list_operations": Example(given=World.operation),
    "show_operation": Example(given=World.operation),
    "list_all_cycles": Example(given=World.cycle, query=lambda there: {"id": there["cycle"]}),
    "list_cycles": Example(given=World.cycle),
    "diff_snapshots": Example(
        given=World.cycle, query=lambda there: {"from": f"{there['cycle']}^", "to": there["cycle"]}
    ),
    "show_cycle": Example(given=World.cycle),
    "show_cycle_plan": Example(given=World.cycle),
    "show_cycle_snapshot": Example(given=World.cycle),
    "list_tokens": Example(),
    "create_token": Example(body=lambda _: token()),
    "get_token": Example(given=World.token),
    "revoke_token": Example(given=World.token),
    "get_health": Example(),
    "get_readiness": Example(),
    "get_metrics": Example(),
    "get_openapi_document": Example(),
    "get_documentation": Example(),
}
