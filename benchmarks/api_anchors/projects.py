"""The same SQL as the API's, by the same functions: to show a project, and to add one with its event and deliveries."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from outbox.database import Database
from outbox.key_ring import KeyRing
from services.api.domain import projects

if TYPE_CHECKING:
    from uuid import UUID

THREADS = 16
_DATABASE = Database(os.environ["ORCHEST_DATABASE_URL"], connections=THREADS)
_KEY_RING = KeyRing([os.environ["ORCHEST_SECRET_KEYS"]])


def shown(uuid: UUID) -> projects.Project:
    with _DATABASE.reading() as session:
        return projects.show_whole(session, uuid, _KEY_RING)


def created(project: projects.Project) -> projects.Project:
    with _DATABASE.writing() as session:
        return projects.create(session, project, _KEY_RING, datetime.now(UTC))
