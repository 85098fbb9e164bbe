"""A POST that is sent twice under one key is done once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text, update

from services.api.http.idempotency import IdempotencyKeyRow
from tests.services.api.http.bench import Bench, bench, long_ago

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def made(database_url: str) -> Iterator[Bench]:
    with bench(database_url) as opened:
        yield opened


def add(made: Bench, name: str, key: str, who: str = "write", age: int = 1) -> Any:
    return made.ask("POST", "/api/sheep/", who, json={"name": name, "age": age}, headers={"Idempotency-Key": key})


def test_the_second_gets_the_first_ones_answer(made: Bench) -> None:
    first, second = add(made, "Dolly", "k-1"), add(made, "Dolly", "k-1")
    assert (second.status_code, second.content, second.headers["location"]) == (201, first.content, "/api/sheep/1")
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert made.names() == ["Dolly"]


def test_another_key_or_another_caller_is_another_request(made: Bench) -> None:
    add(made, "Dolly", "k-1")
    add(made, "Dolly", "k-2")
    add(made, "Dolly", "k-1", who="admin")
    assert made.names() == ["Dolly"] * 3


def test_a_key_stands_for_one_body(made: Bench) -> None:
    add(made, "Dolly", "k-1")
    assert add(made, "Molly", "k-1").status_code == 422
    assert made.names() == ["Dolly"]


def test_what_failed_may_be_tried_again_under_its_key(made: Bench) -> None:
    assert add(made, "Dolly", "k-1", age=21).status_code == 409
    assert add(made, "Dolly", "k-1").status_code == 201
    assert made.names() == ["Dolly"]


def test_many_at_once_have_one_effect(made: Bench) -> None:
    key = {"Idempotency-Key": "k-1"}
    answers = made.ask_at_once(10, "POST", "/api/sheep/", "write", json={"name": "Dolly"}, headers=key)
    assert {one.status_code for one in answers} == {201}
    assert len({one.content for one in answers}) == 1
    assert made.names() == ["Dolly"]


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_key_that_is_none_is_refused(made: Bench, key: str) -> None:
    answer = add(made, "Dolly", key)
    assert answer.status_code == 400
    assert answer.json["errors"][0]["where"] == "headers.Idempotency-Key"
    assert made.names() == []


def test_answers_are_not_kept_in_clear_text_and_not_for_ever(made: Bench) -> None:
    add(made, "Dolly", "k-1")
    with made.database.reading() as session:
        stored = session.scalars(select(IdempotencyKeyRow)).one()
        assert b"shown once" not in stored.answer
    with made.database.writing() as session:
        session.execute(update(IdempotencyKeyRow).values(created_at=long_ago()))
    assert "idempotency-replayed" not in add(made, "Dolly", "k-1").headers
    assert made.names() == ["Dolly", "Dolly"]


def test_the_key_lives_or_dies_with_its_transaction(made: Bench) -> None:
    assert add(made, "Dolly", "k-1", age=13).status_code == 500
    with made.database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM idempotency_keys")) == 0
