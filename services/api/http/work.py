"""Where synchronous domain code runs: in as many threads as the database has connections, one transaction each.

In: a function. Out: an awaitable of its result. Never: a second thread hop within one request, or a decision.

What talks to others (a receiver that is pinged, a Kubernetes that is asked for a plan) may take many seconds, so it has
threads of its own: those of transactions are free again within milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox.database import Database

Result = TypeVar("Result")


ACTING_THREADS = 8
SPARE_CONNECTIONS = ACTING_THREADS + 8
"""Beyond those of the threads of transactions: for what acts, and for what runs beside requests."""


class Work:
    """`threads`: for transactions; `database` was opened with `SPARE_CONNECTIONS` more than that, so that none waits.

    `waited` is told how many seconds each function waited for its thread.
    """

    def __init__(self, database: Database, threads: int, waited: Callable[[float], None] = lambda _: None) -> None:
        self.database = database
        self._waited = waited
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="transaction")
        self._acting = ThreadPoolExecutor(ACTING_THREADS, thread_name_prefix="acting")

    async def run(self, function: Callable[[], Result]) -> Result:
        """One transaction. A caller who goes away does not stop it: what was begun is committed."""
        return await self._in(self._pool, function)

    async def act(self, function: Callable[[], Result]) -> Result:
        """What may take its time."""
        return await self._in(self._acting, function)

    async def _in(self, pool: ThreadPoolExecutor, function: Callable[[], Result]) -> Result:
        submitted = time.monotonic()

        def started() -> Result:
            self._waited(time.monotonic() - submitted)
            return function()

        return await asyncio.get_running_loop().run_in_executor(pool, started)

    def close(self) -> None:
        """After what is under way."""
        self._pool.shutdown()
        self._acting.shutdown()
