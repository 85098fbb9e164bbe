"""When tokens were last used, written behind the requests' backs.

In: uses. Out: `last_used_at`, at most once a minute per token, all that came together in one short transaction of their
own. Never: a request that waits for it, or fails by it.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import or_, update

from outbox.errors import DatabaseError
from services.api.access.models import AccessToken

if TYPE_CHECKING:
    from concurrent.futures import Future
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import Update

    from outbox.database import Database

INTERVAL = timedelta(minutes=1)
_log = logging.getLogger("services.api.access")


class LastUse:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[UUID, datetime] = {}
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="last-use")

    def note(self, token: UUID, before: datetime | None, now: datetime) -> None:
        """`before`: what the row says."""
        if before is not None and now - before < INTERVAL:
            return
        with self._lock:
            is_first = not self._waiting
            self._waiting[token] = now
        if is_first:
            self._writer.submit(self._write).add_done_callback(_tell)

    def close(self) -> None:
        """After what waits is written."""
        self._writer.shutdown()

    def _write(self) -> None:
        with self._lock:
            uses, self._waiting = self._waiting, {}
        with self._database.writing() as session:
            for token in sorted(uses):
                session.execute(_used(token, uses[token]))


def _tell(done: Future[None]) -> None:
    """Nobody waits for it, so whatever went wrong is only told here."""
    if error := done.exception():
        trace = None if isinstance(error, DatabaseError) else error
        _log.warning("when tokens were last used is not recorded: %s", error, exc_info=trace)


def _used(token: UUID, now: datetime) -> Update:
    """Another process may have been here within the minute."""
    due = or_(AccessToken.last_used_at.is_(None), AccessToken.last_used_at <= now - INTERVAL)
    return update(AccessToken).where(AccessToken.uuid == token, due).values(last_used_at=now)
