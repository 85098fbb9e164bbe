"""Schemathesis reads the document and attacks the application, with a token of each scope and with none."""

from __future__ import annotations

import secrets
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.python import asgi

from services.api.http.operation import Scope
from tests.postgresql import fresh_database
from tests.services.api.catalogue import DOCUMENT, EVERY, STREAMS
from tests.services.api.contents import contents
from tests.services.api.examples import EXAMPLES, Params, World
from tests.services.api.site import Site, opened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from services.api.http.openapi import Json

UNLIMITED = 10**9
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
)
WITHOUT_WRITING = (None, Scope.READ, Scope.AGENT)
"""What these scopes (None: no token) send may never change anything."""


@dataclass(frozen=True, slots=True)
class Attack:
    seed: int
    examples: int
    """For each operation and part of a request."""
    is_systematic: bool
    """Every boundary of every schema, every method, every missing part: the same whatever the seed."""
    is_stateful: bool = False
    """Sequences: what one answer holds is sent in the next request."""


@dataclass(frozen=True, slots=True)
class Report:
    requests: int
    statuses: frozenset[int]
    mistakes: tuple[str, ...]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if request.param == "sqlite":
        with opened(f"sqlite:///{tmp_path_factory.mktemp('attack') / 'api.db'}", requests_a_minute=UNLIMITED) as made:
            yield made
        return
    server = request.getfixturevalue("postgresql_server")
    with fresh_database(server, f"attack_{uuid4().hex}") as url, opened(url, requests_a_minute=UNLIMITED) as made:
        yield made


def attacked(site: Site, document: Json, scope: Scope | None, attack: Attack, existing: Mapping[str, Params]) -> Report:
    """`existing`: of an operation id, the parameters of a path that leads to something."""
    schema = schemathesis.openapi.from_dict(document, config=configuration(attack, existing))
    schema.app = site.app
    if scope is not None:
        schema.config.update(headers={"Authorization": f"Bearer {site.tokens[scope]}"})
    requests, mistakes = 0, []
    statuses: set[int] = set()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            mistakes.append(f"{event.label}: {event.value}")
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.ScenarioFinished):
            recorder = event.recorder
            responses = [sent.response for sent in recorder.interactions.values() if sent.response is not None]
            requests += len(responses)
            statuses |= {response.status_code for response in responses}
            mistakes += [
                f"{recorder.label}: {check.name}: {found.failure.message}\n{found.code_sample}"
                for checks in recorder.checks.values()
                for check in checks
                if (found := check.failure_info) is not None
            ]
    return Report(requests, frozenset(statuses), tuple(mistakes))


def configuration(attack: Attack, existing: Mapping[str, Params]) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "base-url": f"http://{asgi.HOST}",
            "seed": attack.seed,
            "continue-on-failure": True,
            "output": {"sanitization": {"enabled": False}},
            "generation": {"max-examples": attack.examples, "deterministic": True, "database": "none"},
            "phases": {
                "coverage": {"enabled": attack.is_systematic},
                "stateful": {"enabled": attack.is_stateful},
            },
            "checks": {"enabled": False} | {name: {"enabled": True} for name in CHECKS},
            "operations": [
                {
                    "include-operation-id": name,
                    "parameters": {f"path.{key}": value for key, value in parameters.items()},
                }
                for name, parameters in existing.items()
            ],
        }
    )


def existing_things(site: Site) -> dict[str, Params]:
    """For each operation something of its own, so that what one deletes is still there for the others."""
    return {
        name: {key: value for key, value in EXAMPLES[name].given(World(site)).items() if f"{{{key}}}" in operation.path}
        for name, operation in EVERY.items()
        if "{" in operation.path and name not in STREAMS
    }


def paths_of(names: Collection[str]) -> Json:
    """The document, with these operations alone."""
    paths = {
        path: {method: one for method, one in methods.items() if one["operationId"] in names}
        for path, methods in DOCUMENT["paths"].items()
    }
    return DOCUMENT | {"paths": {path: methods for path, methods in paths.items() if methods}}


ENDING = EVERY.keys() - STREAMS
QUICK = {
    None: Attack(seed=1, examples=1, is_systematic=False),
    Scope.READ: Attack(seed=2, examples=2, is_systematic=False),
    Scope.AGENT: Attack(seed=3, examples=1, is_systematic=False),
    Scope.WRITE: Attack(seed=4, examples=2, is_systematic=False),
    Scope.ADMIN: Attack(seed=5, examples=1, is_systematic=True),
}


@pytest.mark.parametrize("scope", QUICK, ids=str)
def test_no_request_is_answered_in_a_way_that_is_not_documented(scope: Scope | None, site: Site) -> None:
    existing = existing_things(site)
    before = contents(site.database)
    report = attacked(site, paths_of(ENDING), scope, QUICK[scope], existing)
    assert not report.mistakes, "\n\n".join(report.mistakes[:20])
    assert_it_was_an_attack(report, scope)
    if scope in WITHOUT_WRITING:
        assert contents(site.database) == before


def assert_it_was_an_attack(report: Report, scope: Scope | None) -> None:
    """What is never reached cannot fail."""
    assert report.requests >= len(ENDING)
    expected = {
        None: {200, 401},
        Scope.AGENT: {200, 403},
        Scope.READ: {200, 403},
        Scope.WRITE: {200, 201, 403},
        Scope.ADMIN: {200, 201, 400, 404, 405, 415},
    }
    assert report.statuses >= expected[scope]


def test_an_application_that_breaks_its_document_is_found_out(site: Site) -> None:
    """The attack itself is put to the test: a document that promises other things than are done."""
    lying = deepcopy(paths_of({"create_project"}))
    del lying["paths"]["/api/projects/"]["post"]["responses"]["400"]
    report = attacked(site, lying, Scope.ADMIN, Attack(seed=1, examples=1, is_systematic=True), {})
    assert any("status_code_conformance" in mistake for mistake in report.mistakes)


@pytest.mark.torture
@pytest.mark.parametrize("scope", [None, *Scope], ids=str)
def test_a_long_attack_finds_nothing_either(scope: Scope | None, site: Site) -> None:
    attack = Attack(seed=secrets.randbelow(2**31), examples=15, is_systematic=True, is_stateful=True)
    print(f"\nattack: seed {attack.seed}, scope {scope}", flush=True)  # noqa: T201, the run is repeated with it
    existing = existing_things(site)
    before = contents(site.database)
    for things in (existing, {}):
        report = attacked(site, paths_of(ENDING), scope, attack, things)
        assert not report.mistakes, "\n\n".join(report.mistakes[:20])
    if scope in WITHOUT_WRITING:
        assert contents(site.database) == before
