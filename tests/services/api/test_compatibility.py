"""The calls of the original's clients, replayed in their order, and the page that tells of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from outbox.events.facts import Service
from services.api.app import operations
from services.api.domain import sessions
from services.api.domain.sessions import InteractiveSession, SessionStatus
from services.api.http.operation import Scope
from tests.services.api.original_calls import PAGE, OriginalCall, filled, load, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.services.api.site import Site

ANSWERED, LATER = load()

_CLASSES: Mapping[str, Any] = {
    "<text>": lambda value: isinstance(value, str),
    "<boolean>": lambda value: isinstance(value, bool),
    "<list>": lambda value: isinstance(value, list),
    "<object>": lambda value: isinstance(value, dict),
    "<uuid>": lambda value: isinstance(value, str) and str(UUID(value)) == value,
    "<time>": lambda value: isinstance(value, str) and as_the_original_client_reads(value),
}


def as_the_original_client_reads(time: str) -> bool:
    """It cuts off the fraction and `+00:00`, appends Z, and parses that."""
    cut = re.sub(r"^([^.+]+)([.+]\d*)?(\+\d*:\d*)?$", r"\1", time)
    return datetime.fromisoformat(f"{cut}Z").tzinfo is not None


def mistakes(expected: Any, found: Any, where: str = "answer") -> Iterator[str]:
    """Where `found` is not what the original answered; keys that it did not know are fine."""
    if isinstance(expected, dict) and isinstance(found, dict):
        yield from (f"{where}: {key} is missing" for key in expected.keys() - found.keys())
        for key in expected.keys() & found.keys():
            yield from mistakes(expected[key], found[key], f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        if bool(expected) != bool(found):
            yield f"{where}: {len(found)} items"
        for number, (one, other) in enumerate(zip(expected, found, strict=False)):
            yield from mistakes(one, other, f"{where}.{number}")
    elif isinstance(expected, str) and expected in _CLASSES:
        if not _CLASSES[expected](found):
            yield f"{where}: {found!r} is no {expected}"
    elif expected != found or type(expected) is not type(found):
        yield f"{where}: {found!r} instead of {expected!r}"


def launch_a_session(site: Site, project: str, pipeline: str) -> None:
    with site.database.writing() as session:
        database = Service(name="database", image="postgres:13", scope=("interactive",), ports=(5432,))
        running = InteractiveSession(UUID(project), UUID(pipeline), SessionStatus.RUNNING, {"database": database})
        sessions.create(session, running, datetime.now(UTC))


def answered_as_the_original(site: Site, call: OriginalCall, names: dict[str, str]) -> list[str]:
    path, _, query = filled(call.path, names).partition("?")
    body = {} if call.body is None else {"json": filled(call.body, names)}
    scope = None if call.without_token else Scope.ADMIN
    result = site.ask(call.method, path, query_string=query, scope=scope, **body)
    if result.status_code != call.status:
        return [f"{call.name}: {result.status_code} {result.text}"]
    if call.keep:
        names.update({name: result.json[key] for name, key in call.keep.items()})
    return [f"{call.name}: {mistake}" for mistake in mistakes(filled(call.answer, names), result.json)]


def test_the_calls_of_the_original_clients_are_answered_as_the_original_did(site: Site) -> None:
    uuids = ("project", "pipeline", "running", "environment", "job", "step", "snapshot")
    names = {name: str(uuid4()) for name in uuids}
    wrong: list[str] = []
    for call in ANSWERED:
        wrong += answered_as_the_original(site, call, names)
        if call is ANSWERED[0]:
            launch_a_session(site, names["project"], names["running"])
    assert wrong == []


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"a": 1}, {}),
        ({"a": 1}, {"a": 2}),
        ({"a": False}, {"a": 0}),
        ({"a": None}, {"a": "x"}),
        ([{"a": 1}], []),
        ([], [1]),
        ([{"a": 1}], [{"b": 1}]),
        ("<time>", "2026-11-22T00:00:00Z"),
        ("<text>", None),
    ],
)
def test_an_answer_that_differs_would_be_noticed(expected: Any, found: Any) -> None:
    try:
        assert list(mistakes(expected, found))
    except ValueError:
        assert expected == "<time>"


def test_what_the_original_did_not_know_may_be_there_too() -> None:
    assert list(mistakes({"a": [{"b": "<uuid>"}]}, {"a": [{"b": str(uuid4()), "c": 1}], "d": 2})) == []


def shape(method: str, path: str) -> str:
    """With names of parameters left out, and the slash at the end."""
    return f"{method} {re.sub('{[^}]*}', '{}', path.partition('?')[0]).rstrip('/')}"


def test_what_comes_later_is_not_here_yet_and_the_rest_is(site: Site) -> None:
    here = {shape(operation.method, operation.path) for operation in operations(site.parts)}
    exact = {call.replace("project:one-off-job:failed", "{}") for call in (shape(c.method, c.path) for c in ANSWERED)}
    assert exact <= here
    later = {shape(*call.split(" ", 1)) for group in LATER for call in group.calls}
    assert later & here == set()


def test_the_page_has_these_tables() -> None:
    page = PAGE.read_text()
    assert written(page) == page, "write them anew: python -m tests.services.api.original_calls"
    assert all(call.path in page for call in ANSWERED)
