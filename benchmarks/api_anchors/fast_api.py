"""FastAPI as its documentation would have it: models in and out, synchronous functions in its threads. No token, no
limit, no log, no metrics.
"""

# mypy: disable-error-code="import-not-found,untyped-decorator,misc"
from __future__ import annotations

from collections.abc import AsyncIterator, Mapping  # noqa: TC003 - FastAPI and pydantic evaluate the annotations
from contextlib import asynccontextmanager
from uuid import UUID  # noqa: TC003

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.api_anchors.projects import THREADS, created, shown
from services.api.domain.projects import Project


class ProjectIn(BaseModel):
    uuid: UUID
    name: str
    env_variables: dict[str, str] = {}


class ProjectOut(BaseModel):
    uuid: UUID
    name: str
    env_variables: Mapping[str, str]


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = THREADS
    yield


app = FastAPI(lifespan=_lifespan)


@app.get("/api/projects/{uuid}", response_model=ProjectOut)
def show(uuid: UUID) -> Project:
    return shown(uuid)


@app.post("/api/projects", response_model=ProjectOut, status_code=201)
def create(body: ProjectIn) -> Project:
    return created(Project(body.uuid, body.name, body.env_variables))
