"""Webhooks as Procrastinate jobs, in PostgreSQL at DATABASE_URL: `python procrastinate_deliveries.py schema`, `enqueue
COUNT URL`, `work`.
"""

# mypy: disable-error-code="import-not-found,untyped-decorator,misc,no-untyped-call"
from __future__ import annotations

import asyncio
import os
import sys
import time

import aiohttp
from delivery import BODY, signed_headers
from procrastinate import App, PsycopgConnector

_AT_ONCE = 8
"""Jobs in one statement: as many as one event has receivers."""
_CONCURRENCY = 20

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))
sessions: list[aiohttp.ClientSession] = []


@app.task(name="deliver")
async def deliver(url: str, body: str) -> None:
    async with sessions[0].post(url, data=body.encode(), headers=signed_headers(body)) as response:
        response.raise_for_status()


async def enqueue(count: int, url: str) -> None:
    """Prints the CPU seconds spent on it."""
    async with app.open_async():
        spent = time.process_time()
        for _ in range(count // _AT_ONCE):
            await deliver.batch_defer_async(*({"url": url, "body": BODY} for _ in range(_AT_ONCE)))
        print(time.process_time() - spent)


async def schema() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def work() -> None:
    async with app.open_async(), aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        sessions.append(session)
        await app.run_worker_async(concurrency=_CONCURRENCY)


if __name__ == "__main__":
    if sys.argv[1] == "enqueue":
        asyncio.run(enqueue(int(sys.argv[2]), sys.argv[3]))
    else:
        asyncio.run({"schema": schema, "work": work}[sys.argv[1]]())
