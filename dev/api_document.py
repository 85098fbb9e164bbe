"""All operations of the API, and its document, without a server and without a database."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from outbox.database import Database
from outbox.delivery.guard import Guard
from outbox.key_ring import KeyRing
from outbox.subscribers.webhook import Permission
from services.api.access.gatekeeper import TokenGatekeeper
from services.api.app import Parts, operations
from services.api.http.openapi import document
from services.api.resources.document import DISTRIBUTION, TAGS

if TYPE_CHECKING:
    from services.api.http.openapi import Json
    from services.api.http.operation import Operation


def every_operation() -> tuple[Operation, ...]:
    """Of parts that are never used: nothing is opened by making them."""
    database = Database("sqlite:////never/opened.db")
    parts = Parts(
        database=database,
        threads=1,
        gatekeeper=TokenGatekeeper(database),
        key_ring=KeyRing(["a-key-under-which-nothing-is-ever-stored"]),
        permission=Permission(Guard(())),
    )
    return operations(parts)


def api_document() -> Json:
    return document(every_operation(), version(DISTRIBUTION), TAGS)
