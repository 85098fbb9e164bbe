"""What the suite's writer registers: events of a few types and layers, each heard by every hook of the site."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from outbox.events.facts import EnvironmentFacts, PipelineFacts, ProjectFacts
from outbox.events.register import (
    register_project_created_event,
    register_project_deleted_event,
    register_project_environment_created_event,
    register_project_pipeline_created_event,
)
from outbox.events.types import EventType

if TYPE_CHECKING:
    from random import Random

    from sqlalchemy.orm import Session

WRITTEN = (
    EventType.PROJECT_CREATED,
    EventType.PROJECT_DELETED,
    EventType.PROJECT_PIPELINE_CREATED,
    EventType.PROJECT_ENVIRONMENT_CREATED,
)


def register_some_event(session: Session, random: Random) -> UUID:
    project = ProjectFacts(project_uuid=uuid4(), project_name=f"project {random.random()}", projects_count=3)
    known = project.model_dump()
    match random.choice(WRITTEN):
        case EventType.PROJECT_CREATED:
            return register_project_created_event(session, project)
        case EventType.PROJECT_DELETED:
            return register_project_deleted_event(session, project)
        case EventType.PROJECT_PIPELINE_CREATED:
            pipeline = PipelineFacts(**known, pipeline_uuid=uuid4(), pipeline_name="pipeline")
            return register_project_pipeline_created_event(session, pipeline)
        case _:
            environment = EnvironmentFacts(**known, environment_uuid=uuid4())
            return register_project_environment_created_event(session, environment)
