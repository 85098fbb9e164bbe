"""The moment from which a process only finishes what it has begun.

In: the server's word that it is asked to end. Out: whoever waits for that is woken at once. Never: ends anything
itself. Requests end by being answered; streams, which would go on for ever, wait for this and say goodbye.
"""

from __future__ import annotations

import asyncio


class Shutdown:
    """For the tasks of one event loop: `begin` is called in that loop, once or more."""

    def __init__(self) -> None:
        self._has_begun = False
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def has_begun(self) -> bool:
        return self._has_begun

    def begin(self) -> None:
        self._has_begun = True
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        """Until it begins; at once when it has."""
        if self._has_begun:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)
