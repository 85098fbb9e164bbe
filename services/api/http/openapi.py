"""The API described for machines: OpenAPI 3.1, made from the same operations that the routes are made from.

In: operations, the release, a line about each tag. Out: one document, always the same for the same input: it says of
every operation what goes in, who may call it, and every status it can answer. Never: a route, a request, a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from services.api.http.idempotency import MOST_CHARACTERS
from services.api.http.operation import Nothing, Writes
from services.api.http.problems import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import CoreSchema

    from services.api.http.operation import Operation

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]

OPENAPI = "3.1.0"
SECURITY = "token"
_SCHEMAS = "#/components/schemas/"

_ABOUT = """\
Everything that Orchest does can be asked for here.

**Tokens.** Send `Authorization: Bearer TOKEN`. Tokens are made by `orchest token create`; in a cluster the token of a \
known ServiceAccount does as well. Scope `admin` may all that `write` may, `write` may all that `read` may; `agent` is \
for nodes alone.

**Errors.** Whatever goes wrong is answered by one document, `application/problem+json` (RFC 9457): `detail` says what \
and how to mend it, `errors` lists every mistake of a request with its place. No value that was sent is ever repeated.

**Bodies** are JSON of at most 1 MiB, strictly typed; a field that is not described here is refused.

**Once.** A POST with an `Idempotency-Key` is done once, however often it is sent within a day; the answer of a \
repetition carries `Idempotency-Replayed: true`.

**Polling.** What is read carries an `ETag`; send it back as `If-None-Match`, and what did not change is answered by \
304 without a body.

**Pages.** Long lists begin with the newest. `next_cursor` of an answer, sent as `cursor`, brings the next page; it is \
null on the last one.

A slash at the end of a path makes no difference.
"""

_HEADERS: Mapping[str, Json] = {
    "X-Request-Id": {
        "description": "Names this request in the logs: the caller's own `X-Request-Id`, or a new one",
        "required": True,
        "schema": {"type": "string"},
    },
    "ETag": {"description": "Of this very answer: send it as `If-None-Match`", "schema": {"type": "string"}},
    "Location": {"description": "Where to look next", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {"description": "Seconds to wait", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "WWW-Authenticate": {"description": "`Bearer`, and what is wrong with the token", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "This answer was remembered: nothing was done a second time",
        "schema": {"type": "string", "const": "true"},
    },
}


@dataclass(frozen=True, slots=True)
class _Response:
    """What a status means here."""

    name: str
    about: str
    headers: tuple[str, ...] = ()


_PROBLEMS: Mapping[HTTPStatus, _Response] = {
    HTTPStatus.BAD_REQUEST: _Response("Invalid", "The request is not valid; `errors` lists all that is wrong"),
    HTTPStatus.UNAUTHORIZED: _Response("NoToken", "No token, or none that is valid", ("WWW-Authenticate",)),
    HTTPStatus.FORBIDDEN: _Response("WeakToken", "The token is valid, but its scope is not enough"),
    HTTPStatus.NOT_FOUND: _Response("NotFound", "There is no such thing"),
    HTTPStatus.REQUEST_TIMEOUT: _Response("TooSlow", "The body did not arrive in time"),
    HTTPStatus.CONFLICT: _Response("Conflict", "Not in the state that things are in; `detail` says why", ("Location",)),
    HTTPStatus.GONE: _Response("Gone", "It was there, and is not any more"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _Response("TooLarge", "The body is too large"),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: _Response("NotJson", "The body is not `application/json`"),
    HTTPStatus.UNPROCESSABLE_ENTITY: _Response(
        "KeyUsedBefore", "The `Idempotency-Key` was used for another request before"
    ),
    HTTPStatus.FAILED_DEPENDENCY: _Response("OthersFailed", "Somebody else was asked, and did not do as expected"),
    HTTPStatus.TOO_MANY_REQUESTS: _Response("TooMany", "Too many requests; wait", ("Retry-After",)),
    HTTPStatus.SERVICE_UNAVAILABLE: _Response(
        "Unavailable", "What the API needs cannot be reached at this moment; try again", ("Retry-After",)
    ),
}

_IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Chosen by the caller, new for each new request: repetitions are answered as the first was",
    "schema": {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS, "pattern": "^[ -~]+$"},
}


def document(operations: Sequence[Operation], release: str, tags: Mapping[str, str]) -> Json:
    """`tags`: what each section is about, in the order of the sections; those without operations are left out."""
    schemas = Schemas(operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    used = {operation.tag for operation in operations}
    statuses = sorted({status for operation in operations for status in problems_of(operation)})
    components: Json = {
        "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
        "headers": {_component(name): header for name, header in _HEADERS.items()},
        "responses": {_PROBLEMS[status].name: _problem(_PROBLEMS[status]) for status in statuses},
        "securitySchemes": {SECURITY: {"type": "http", "scheme": "bearer", "description": "`orchest token create`"}},
    }
    return {
        "openapi": OPENAPI,
        "info": {"title": "Orchest API", "version": release, "description": _ABOUT},
        "servers": [{"url": "..", "description": "Where this document comes from"}],
        "tags": [{"name": name, "description": about} for name, about in tags.items() if name in used],
        "paths": paths,
        "components": components | {"schemas": schemas.referenced_by([paths, components])},
    }


def document_bytes(described: Json) -> bytes:
    """As it is served."""
    return orjson.dumps(described)


def problems_of(operation: Operation) -> tuple[HTTPStatus, ...]:
    """All that can go wrong: what follows from who may call it and from what goes in, and the operation's own."""
    found = {HTTPStatus.BAD_REQUEST, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, *operation.problems}
    if not operation.is_open:
        found |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    if operation.parameters is not Nothing:
        found |= {HTTPStatus.NOT_FOUND}
    if operation.body is not Nothing:
        found |= {
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        }
    if takes_idempotency_key(operation):
        found |= {HTTPStatus.UNPROCESSABLE_ENTITY}
    return tuple(sorted(found))


def takes_idempotency_key(operation: Operation) -> bool:
    return operation.method == HTTPMethod.POST and isinstance(operation.does, Writes)


class Schemas:
    """The JSON Schemas of all types that the operations name, generated together so that no two share a name."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        wanted = [("problem", _SENT, TypeAdapter[Any](Problem)), *_wanted(operations)]
        self._schemas, definitions = TypeAdapter.json_schemas(
            wanted, ref_template=_SCHEMAS + "{model}", schema_generator=_Generator
        )
        self._components: dict[str, Json] = definitions.get("$defs", {})

    def received(self, key: str) -> Json:
        return self._schemas[key, _RECEIVED]

    def sent(self, key: str) -> Json:
        return self._schemas[key, _SENT]

    def properties(self, key: str) -> Iterator[tuple[str, Json, bool]]:
        """Of a model of parameters: name, schema, whether it is required."""
        model = self._components[_name(self.received(key)["$ref"])]
        for name, schema in model.get("properties", {}).items():
            yield name, schema, name in model.get("required", ())

    def referenced_by(self, parts: Sequence[Json]) -> dict[str, Json]:
        """The components that these parts need, and those that these need."""
        needed: set[str] = set()
        waiting = [name for part in parts for name in _references(part)]
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed.add(name)
                waiting.extend(_references(self._components[name]))
        return {name: self._components[name] for name in sorted(needed)}


_RECEIVED: Mode = "validation"
_SENT: Mode = "serialization"


def _wanted(operations: Sequence[Operation]) -> Iterator[tuple[str, Mode, TypeAdapter[Any]]]:
    for operation in operations:
        for part in ("parameters", "query", "body"):
            model = getattr(operation, part)
            if model is not Nothing:
                yield f"{operation.id}.{part}", _RECEIVED, TypeAdapter(model)
        if operation.answer is not None:
            yield f"{operation.id}.answer", _SENT, TypeAdapter(operation.answer)


class _Generator(GenerateJsonSchema):
    """Without titles that only repeat a field's name."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        del schema
        return False


def _operation(operation: Operation, schemas: Schemas) -> Json:
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": "\n\n".join(filter(None, [operation.description, _who(operation)])),
        "tags": [operation.tag],
        "x-orchest-scope": operation.scope,
        "security": _security(operation),
    }
    parameters = [*_parameters(operation, "path", schemas), *_parameters(operation, "query", schemas)]
    if takes_idempotency_key(operation):
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    if parameters:
        described["parameters"] = parameters
    if operation.body is not Nothing:
        content = {"application/json": {"schema": schemas.received(f"{operation.id}.body")}}
        described["requestBody"] = {"required": True, "content": content}
        if operation.most_body_bytes is not None:
            described["requestBody"]["description"] = f"At most {operation.most_body_bytes} bytes"
    return described | {"responses": _responses(operation, schemas)}


def _security(operation: Operation) -> list[Json]:
    """One of these is enough; an empty one is nothing."""
    if operation.is_open:
        return []
    return [{SECURITY: [operation.scope]}, *([{}] if operation.open_inside else [])]


def _who(operation: Operation) -> str:
    if operation.is_open:
        return "Open: no token is needed."
    inside = " Inside the cluster no token is needed." if operation.open_inside else ""
    return f"Needs a token of scope `{operation.scope}`.{inside}"


def _parameters(operation: Operation, place: Literal["path", "query"], schemas: Schemas) -> Iterator[Json]:
    part = "parameters" if place == "path" else place
    if getattr(operation, part) is Nothing:
        return
    for name, schema, is_required in schemas.properties(f"{operation.id}.{part}"):
        value = _never_null(schema)
        described: Json = {"name": name, "in": place, "required": place == "path" or is_required}
        if about := value.pop("description", _WHAT_A_PATH_NAMES.get(name, "") if place == "path" else ""):
            described["description"] = about
        yield described | {"schema": value}


_WHAT_A_PATH_NAMES = {
    "namespace": "Of the cluster",
    "name": "Of the cluster",
    "uuid": "Of the one that is meant",
    "project_uuid": "Of the project",
    "pipeline_uuid": "Of the pipeline",
    "environment_uuid": "Of the environment",
    "job_uuid": "Of the job",
    "cycle": "Of the cycle of the history",
}
"""Parameters at the same place have the same name everywhere, and mean the same."""


def _never_null(schema: Json) -> Json:
    """As a parameter: what is left out is not sent, there is no null in an address."""
    kept = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    choices = [choice for choice in kept.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return kept | ({"anyOf": choices} if choices else {})
    del kept["anyOf"]
    only: Json = choices[0]
    return only | kept


def _responses(operation: Operation, schemas: Schemas) -> Json:
    responses = {str(int(operation.status)): _success(operation, schemas)}
    if _is_polled(operation):
        headers = _named_headers(("X-Request-Id", "ETag"))
        responses["304"] = {"description": "Nothing changed since the answer with that `ETag`", "headers": headers}
    for status in problems_of(operation):
        responses[str(int(status))] = {"$ref": f"#/components/responses/{_PROBLEMS[status].name}"}
    return dict(sorted(responses.items()))


def _success(operation: Operation, schemas: Schemas) -> Json:
    response: Json = {"description": operation.status.phrase, "headers": _named_headers(_success_headers(operation))}
    if operation.media_type != "application/json":
        response["content"] = {operation.media_type: {"schema": {"type": "string"}}}
    elif operation.answer is not None:
        response["content"] = {operation.media_type: {"schema": schemas.sent(f"{operation.id}.answer")}}
    return response


def _success_headers(operation: Operation) -> tuple[str, ...]:
    names = ["X-Request-Id"]
    if _is_polled(operation):
        names.append("ETag")
    if operation.status == HTTPStatus.ACCEPTED:
        names.append("Location")
    if takes_idempotency_key(operation):
        names.append("Idempotency-Replayed")
    return tuple(names)


def _is_polled(operation: Operation) -> bool:
    return operation.method == HTTPMethod.GET and operation.media_type != "text/event-stream"


def _problem(response: _Response) -> Json:
    content = {MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}Problem"}}}
    headers = _named_headers(("X-Request-Id", *response.headers))
    return {"description": response.about, "headers": headers, "content": content}


def _named_headers(names: Sequence[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{_component(name)}"} for name in names}


def _component(text: str) -> str:
    """`X-Request-Id` -> a name that components may have."""
    return re.sub(r"[^A-Za-z0-9]", "", text)


def _references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SCHEMAS):
            yield _name(reference)
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _name(reference: str) -> str:
    return reference.removeprefix(_SCHEMAS)
