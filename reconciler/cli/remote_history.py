"""The history of an API: the same questions as those to a database, asked over HTTP.

In: what `orchest history` asks for. Out: the records that the database has, but for the digests by which it keeps plans
and snapshots: the API hands those out by the cycle. Never: a write.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, TypeAdapter

from outbox.reference import LEAST_CHARACTERS, span_of
from reconciler.api_client import NotThere
from reconciler.history import ActionOutcome, CycleDetail, CycleRecord, HistoryError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from reconciler.api_client import ApiClient

_HISTORY = "/api/history"
_PAGE = 500


def _as_recorded(told: Any) -> Any:
    if not isinstance(told, dict):
        return told
    cluster = {name: told.get(name) for name in ("namespace", "name", "server_uid")}
    origin = told.get("source")
    return {
        **told,
        "cluster": {**cluster, "uid": ""},
        "origin": {**origin, "content_digest": ""} if isinstance(origin, dict) else origin,
        "plan_document": "",
        "snapshot_before": "",
        "snapshot_after": None,
    }


_Cycle = Annotated[CycleRecord, BeforeValidator(_as_recorded)]


@dataclass(frozen=True, slots=True)
class _Cycles:
    cycles: list[_Cycle]


@dataclass(frozen=True, slots=True)
class _Outcomes:
    outcomes: tuple[ActionOutcome, ...]


_CYCLES: TypeAdapter[_Cycles] = TypeAdapter(_Cycles)
_DETAIL: TypeAdapter[tuple[CycleRecord, _Outcomes]] = TypeAdapter(
    Annotated[tuple[_Cycle, _Outcomes], BeforeValidator(lambda told: (told, told))]
)


class RemoteHistory:
    """A `reconciler.cli.history.Cycles`."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def list(self, limit: int) -> Sequence[CycleRecord]:
        pages = self._client.pages(_HISTORY, _CYCLES, {"limit": min(limit, _PAGE)})
        return tuple(islice(chain.from_iterable(page.cycles for page in pages), limit))

    def show(self, cycle: str) -> CycleDetail:
        try:
            record, told = self._client.get(f"{_HISTORY}/{self._find(cycle)}", _DETAIL)
        except NotThere:
            raise _unknown(cycle) from None
        return CycleDetail(record, told.outcomes)

    def _find(self, text: str) -> UUID:
        span = span_of(text)
        if span is None:
            raise HistoryError(
                f"{text!r} is not the id of a cycle: at least {LEAST_CHARACTERS} hexadecimal digits of it are needed. "
                "`orchest history` lists them."
            )
        if span.first == span.last:
            return span.first
        digits = text.lower().replace("-", "")
        found = self._client.get(_HISTORY, _CYCLES, {"id": digits, "limit": 2}).cycles
        if not found:
            raise _unknown(text)
        if len(found) > 1:
            raise HistoryError(f"several cycles begin with {text}. Give more of the id; `orchest history` lists them.")
        return found[0].id


def _unknown(text: str) -> HistoryError:
    return HistoryError(f"no cycle {text}. `orchest history` lists them.")
