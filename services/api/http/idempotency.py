"""A POST that is sent twice under one Idempotency-Key is done once: the second gets the first one's answer.

In: the transaction of the change. Out: its answer, made or remembered; the memory is a row of that same transaction,
so there is no moment in which one exists without the other. Never: an answer in clear text at rest, since some hold a
secret that is shown once.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from sqlalchemy import LargeBinary, String, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from outbox.database import Base
from services.api.http.operation import Answer
from services.api.http.problems import ApiError, Mistake, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing

KEPT_FOR = timedelta(days=1)
MOST_CHARACTERS = 255


class IdempotencyKeyRow(Base):
    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(String(600), primary_key=True)
    key: Mapped[str] = mapped_column(String(MOST_CHARACTERS), primary_key=True)
    request_digest: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that carries a key."""

    caller: str
    key: str
    operation: str
    request_digest: bytes
    now: datetime

    @property
    def place(self) -> str:
        """What its answer is encrypted for."""
        return f"idempotency_keys/{self.caller}/{self.key}"


class Idempotency:
    def __init__(self, key_ring: KeyRing) -> None:
        self._key_ring = key_ring

    def once(self, session: Session, attempt: Attempt, perform: Callable[[], Answer]) -> Answer:
        """The answer of the first request with this key. Raises ApiError 400 for a key that is none, 422 for one that
        stands for another request.

        On PostgreSQL two at the same moment meet at the primary key: the second waits for the first one's commit.
        """
        _check(attempt.key)
        session.execute(delete(IdempotencyKeyRow).where(IdempotencyKeyRow.created_at < attempt.now - KEPT_FOR))
        digest = attempt.operation.encode() + b"\0" + attempt.request_digest
        if not _is_first(session, attempt, digest):
            return self._remembered(session, attempt, digest)
        answer = perform()
        row = session.get_one(IdempotencyKeyRow, (attempt.caller, attempt.key))
        row.answer = self._key_ring.encrypt(_packed(answer), attempt.place)
        return answer

    def _remembered(self, session: Session, attempt: Attempt, digest: bytes) -> Answer:
        row = session.get_one(IdempotencyKeyRow, (attempt.caller, attempt.key), populate_existing=True)
        if row.request_digest != digest:
            raise ApiError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "This Idempotency-Key was used for another request before. Choose a new key for each new request.",
            )
        return _unpacked(self._key_ring.decrypt(row.answer, attempt.place))


def _check(key: str) -> None:
    if not 1 <= len(key) <= MOST_CHARACTERS or not key.isascii() or not key.isprintable():
        mistake = Mistake(
            where="headers.Idempotency-Key", what=f"1 to {MOST_CHARACTERS} printable ASCII characters are needed."
        )
        raise bad_request("A header is not valid.", [mistake])


def _is_first(session: Session, attempt: Attempt, digest: bytes) -> bool:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = {
        "caller": attempt.caller,
        "key": attempt.key,
        "request_digest": digest,
        "answer": b"",
        "created_at": attempt.now,
    }
    made = session.execute(
        insert(IdempotencyKeyRow).values(row).on_conflict_do_nothing().returning(IdempotencyKeyRow.key)
    )
    return made.first() is not None


def _packed(answer: Answer) -> str:
    body = base64.b64encode(answer.body).decode()
    return json.dumps({"status": int(answer.status), "headers": dict(answer.headers), "body": body})


def _unpacked(packed: str) -> Answer:
    stored = json.loads(packed)
    headers = {**stored["headers"], "Idempotency-Replayed": "true"}
    return Answer(HTTPStatus(stored["status"]), headers, base64.b64decode(stored["body"]))
