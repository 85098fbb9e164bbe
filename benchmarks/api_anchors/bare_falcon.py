"""Falcon and nothing else: no token, no validation, no limit, no log, no ETag, no metrics."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from uuid import UUID

import falcon.asgi

from benchmarks.api_anchors.projects import THREADS, created, shown
from services.api.domain.projects import Project

_POOL = ThreadPoolExecutor(THREADS)


class _Projects:
    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response, uuid: str) -> None:
        found = await asyncio.get_running_loop().run_in_executor(_POOL, shown, UUID(uuid))
        resp.media = asdict(found) | {"uuid": str(found.uuid)}

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        sent = await req.get_media()
        project = Project(UUID(sent["uuid"]), sent["name"])
        made = await asyncio.get_running_loop().run_in_executor(_POOL, created, project)
        resp.status = falcon.HTTP_201
        resp.media = asdict(made) | {"uuid": str(made.uuid)}


class _One:
    on_get = _Projects.on_get


class _All:
    on_post = _Projects.on_post


app = falcon.asgi.App()
app.add_route("/api/projects/{uuid}", _One())
app.add_route("/api/projects", _All())
