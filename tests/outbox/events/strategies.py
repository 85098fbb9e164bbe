"""Facts of every layer, as wild as their types allow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from outbox.events import facts
from outbox.events.facts import ChangedObject, ChangeType, JobStatus, RunStatus
from outbox.events.types import Layer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypothesis.strategies import SearchStrategy

Kind = dict[str, Any]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
counts = st.integers(0, 10**6)
uuids = st.uuids()
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)
parameters = st.dictionaries(text, json_values, max_size=3)
step_keys = uuids.map(str) | text
run_status = st.sampled_from(RunStatus)


def _maybe(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.none() | strategy


def _few(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.lists(strategy, max_size=3).map(tuple)


_told = {
    ChangedObject.SCHEDULE,
    ChangedObject.MAX_RETAINED_PIPELINE_RUNS,
    ChangedObject.NEXT_SCHEDULED_TIME,
    ChangedObject.STATUS,
}
_with_values = st.builds(
    facts.Change,
    type=st.sampled_from(ChangeType),
    changed_object=st.sampled_from(sorted(_told)),
    old_value=_maybe(text),
    new_value=_maybe(text),
)
_without_values = st.builds(
    facts.Change, type=st.sampled_from(ChangeType), changed_object=st.sampled_from(sorted(set(ChangedObject) - _told))
)
_changes: Kind = {"changes": _few(_with_values | _without_values)}

_services = st.builds(
    facts.Service,
    name=text,
    image=text,
    scope=_few(st.sampled_from(["interactive", "noninteractive"]) | text),
    order=_maybe(counts),
    ports=_few(st.integers(1, 65535)),
    exposed=st.booleans(),
    requires_authentication=st.booleans(),
    preserve_base_path=st.booleans(),
    binds=st.dictionaries(text, text, max_size=2),
)
_steps = st.builds(
    facts.Step,
    uuid=step_keys,
    title=text,
    environment=uuids.map(str) | text,
    file_path=text | st.sampled_from(["a.py", "b/c.ipynb", "run.sh"]),
    parameters=parameters,
    incoming_connections=_few(step_keys),
)
definitions = st.builds(
    facts.PipelineDefinition,
    uuid=step_keys,
    name=text,
    version=text | st.just("1.2.3"),
    parameters=parameters,
    settings=st.builds(
        facts.PipelineSettings, auto_eviction=_maybe(st.booleans()), max_steps_parallelism=_maybe(counts)
    ),
    steps=st.dictionaries(step_keys, _steps, max_size=3),
    services=st.dictionaries(text, _services, max_size=2),
)
_run_steps = _few(st.builds(facts.RunStep, uuid=step_keys, title=_maybe(text), status=run_status))
_job_definitions = st.builds(
    facts.JobDefinition,
    pipeline_definition=definitions,
    env_variables_count=counts,
    snapshot_megabytes=_maybe(st.floats(0, 1e6)),
)


def _pipeline_runs(number_in_run: SearchStrategy[int | None]) -> SearchStrategy[facts.JobPipelineRun]:
    return st.builds(
        facts.JobPipelineRun,
        uuid=uuids,
        status=run_status,
        number=counts,
        number_in_run=number_in_run,
        parameters=st.dictionaries(step_keys | st.just("pipeline_parameters"), parameters, max_size=3),
        steps=_run_steps,
    )


_builds = st.builds(
    facts.ImageBuild,
    image_tag=counts,
    requested_time=instants,
    started_time=_maybe(instants),
    finished_time=_maybe(instants),
)

_project: Kind = {"project_uuid": uuids, "project_name": text, "projects_count": _maybe(counts)}
_pipeline: Kind = {
    **_project,
    "pipeline_uuid": uuids,
    "pipeline_name": text,
    "project_pipelines_count": _maybe(counts),
}
_session: Kind = {
    **_pipeline,
    "user_services": st.dictionaries(text, _services, max_size=2),
    "active_runs": _maybe(st.booleans()),
}
_environment: Kind = {**_project, "environment_uuid": uuids}
_job: Kind = {
    **_project,
    "job_uuid": uuids,
    "job_name": text,
    "job_status": st.sampled_from(JobStatus),
    "pipeline_uuid": uuids,
    "pipeline_name": text,
    "total_runs": counts,
    "definition": _maybe(_job_definitions),
}
_cron_job: Kind = {**_job, "schedule": text, "next_scheduled_time": _maybe(instants)}
_cron_job_run: Kind = {
    **_cron_job,
    "run_status": _maybe(run_status),
    "run_number": counts,
    "total_pipeline_runs": counts,
}
_cluster: Kind = {
    **dict.fromkeys(["namespace", "name", "plan_id", "plan_digest", "commit", "revision"], text),
    **dict.fromkeys(["uid", "server_uid"], uuids.map(str) | text),
    **dict.fromkeys(["version_before", "version_after"], st.just("v2026.11.0") | text),
    "cycle_uuid": _maybe(uuids),
    "outcome": _maybe(st.sampled_from(facts.ApplyOutcome)),
    "counts": st.dictionaries(st.sampled_from(["create", "update", "keep"]) | text, counts, max_size=3),
    "actions": _few(st.builds(facts.ClusterAction, object_key=text, verb=text, reason=text, result=text)),
    "drifted_count": counts,
    "drifted": _few(st.builds(facts.DriftedObject, object_key=text, fields=_few(text))),
    "message": st.text(st.characters(exclude_categories=["Cs"]), max_size=3_000),
}

FACTS: Mapping[Layer, SearchStrategy[facts.Facts]] = {
    Layer.PROJECT: st.builds(facts.ProjectFacts, **_project),
    Layer.PROJECT_UPDATE: st.builds(facts.ProjectUpdateFacts, **_project, **_changes),
    Layer.PIPELINE: st.builds(facts.PipelineFacts, **_pipeline),
    Layer.PIPELINE_UPDATE: st.builds(facts.PipelineUpdateFacts, **_pipeline, **_changes),
    Layer.INTERACTIVE_SESSION: st.builds(facts.InteractiveSessionFacts, **_session),
    Layer.INTERACTIVE_PIPELINE_RUN: st.builds(
        facts.InteractivePipelineRunFacts,
        **_session,
        run_uuid=uuids,
        pipeline_definition=definitions,
        steps=_run_steps,
    ),
    Layer.ENVIRONMENT: st.builds(facts.EnvironmentFacts, **_environment),
    Layer.ENVIRONMENT_IMAGE_BUILD: st.builds(
        facts.EnvironmentImageBuildFacts,
        **_environment,
        build=_builds,
        language=_maybe(st.just("python") | text),
        base_image=_maybe(st.just("orchest/base-kernel-r") | text),
        gpu_support=_maybe(st.booleans()),
    ),
    Layer.ONE_OFF_JOB: st.builds(facts.OneOffJobFacts, **_job),
    Layer.ONE_OFF_JOB_UPDATE: st.builds(facts.OneOffJobUpdateFacts, **_job, **_changes),
    Layer.ONE_OFF_JOB_PIPELINE_RUN: st.builds(
        facts.OneOffJobPipelineRunFacts, **_job, pipeline_run=_pipeline_runs(st.none())
    ),
    Layer.CRON_JOB: st.builds(facts.CronJobFacts, **_cron_job),
    Layer.CRON_JOB_UPDATE: st.builds(facts.CronJobUpdateFacts, **_cron_job, **_changes),
    Layer.CRON_JOB_RUN: st.builds(facts.CronJobRunFacts, **_cron_job_run),
    Layer.CRON_JOB_RUN_PIPELINE_RUN: st.builds(
        facts.CronJobRunPipelineRunFacts, **_cron_job_run, pipeline_run=_pipeline_runs(counts)
    ),
    Layer.JUPYTER_IMAGE_BUILD: st.builds(facts.JupyterImageBuildFacts, build=_builds),
    Layer.CLUSTER: st.builds(facts.ClusterEventFacts, **_cluster),
}
