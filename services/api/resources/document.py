"""`/api/openapi.json` and `/api/docs`: the API described for machines, and the same for people. Open to all.

In: all other operations. Out: two answers, made once when they are first asked for. Never: a database, a token.
"""

from __future__ import annotations

from functools import cached_property
from http import HTTPMethod
from importlib.metadata import version
from typing import TYPE_CHECKING

from services.api.http.openapi import Json, document, document_bytes
from services.api.http.operation import Acts, AnyCall, Operation, Reply
from services.api.http.page import Documentation, page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DISTRIBUTION = "orchest-gitops"

TAGS: Mapping[str, str] = {
    "projects": "What people work in: a repository of pipelines, environments and data.",
    "pipelines": "Steps and what they pass to each other.",
    "environments": "Images that steps run in.",
    "jobs": "Pipelines that run by themselves: once, or on a schedule.",
    "sessions": "What runs while somebody works on a pipeline.",
    "settings": "Of the whole installation.",
    "notifications": "Who is told of events, by webhook, and whether they heard.",
    "events": "Everything that happened, and as it happens.",
    "analytics": "What may be told to those who build Orchest, if that is turned on.",
    "clusters": "OrchestClusters: what is, what Git asks for, what differs.",
    "plans": "What exactly would change. A plan is applied as it is, or refused.",
    "operations": "Long work: accepted at once, then watched.",
    "history": "Every state a cluster was in.",
    "tokens": "Who may call this API.",
    "health": "For probes and for monitoring.",
    "document": "This document.",
}
"""In the order of the document."""


class Document:
    """Describes the operations it is given, and its own."""

    def __init__(self, others: Sequence[Operation]) -> None:
        self._others = others

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                HTTPMethod.GET,
                "/api/openapi.json",
                "get_openapi_document",
                "This API as an OpenAPI document",
                None,
                Acts(self.openapi),
                answer=Json,
                tag="document",
            ),
            Operation(
                HTTPMethod.GET,
                "/api/docs",
                "get_documentation",
                "This API as a page to read",
                None,
                Acts(self.documentation),
                tag="document",
                media_type="text/html; charset=utf-8",
            ),
        )

    @cached_property
    def described(self) -> Json:
        return document((*self._others, *self.operations()), version(DISTRIBUTION), TAGS)

    @cached_property
    def _bytes(self) -> bytes:
        return document_bytes(self.described)

    @cached_property
    def _page(self) -> Documentation:
        return page(self.described)

    def openapi(self, call: AnyCall) -> Reply:
        del call
        return Reply(self._bytes)

    def documentation(self, call: AnyCall) -> Reply:
        del call
        return Reply(self._page.html, headers=self._page.headers)
