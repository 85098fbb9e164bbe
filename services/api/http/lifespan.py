"""The beginning and the end of a server process, for the application.

In: ASGI's lifespan. Out: the server knows whom to tell that the end has begun; at the end everything that was opened is
closed, in order. Never: waits for requests, which the server has done before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from services.api.http.shutdown import Shutdown

STATE_KEY = "shutdown"
"""Of the lifespan's state: the `Shutdown` that a server begins."""


class Lifespan:
    """Falcon middleware. `closing`: what to call at the end, the first one first; each may wait."""

    def __init__(self, shutdown: Shutdown, closing: Sequence[Callable[[], None]]) -> None:
        self._shutdown = shutdown
        self._closing = closing

    async def process_startup(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        del event
        if "state" in scope:
            scope["state"][STATE_KEY] = self._shutdown

    async def process_shutdown(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        del scope, event
        self._shutdown.begin()
        for close in self._closing:
            await asyncio.to_thread(close)
