"""The API described for people: one page, made on the server, without scripts and without anything from elsewhere.

In: the OpenAPI document. Out: HTML, and the headers that let it have its own style and nothing more. Never: a fact that
the document does not have.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]

_COMPONENTS = "#/components/"
_UUID = "0198c0de-7000-7000-8000-000000000001"
_SAMPLES = {
    "uuid": _UUID,
    "date-time": "2026-11-22T12:00:00Z",
    "date": "2026-11-22",
    "uri": "https://example.com/",
    "binary": "",
}
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Documentation:
    html: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of a type's name; `anchor`: of the table that explains it, or ""."""

    text: str
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter, or a field of a body."""

    name: str
    type: tuple[Word, ...]
    limits: str
    is_required: bool
    about: str
    place: str = ""
    """`path`, `query`, `header`; "" for a field."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One status that an operation may answer."""

    status: int
    about: str
    type: tuple[Word, ...] = ()
    media_type: str = ""

    @property
    def is_success(self) -> bool:
        return self.status < HTTPStatus.MULTIPLE_CHOICES


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation."""

    id: str
    method: str
    path: str
    scope: str
    summary: str
    about: str
    parameters: tuple[Row, ...]
    body: tuple[Row, ...]
    body_type: tuple[Word, ...]
    outcomes: tuple[Outcome, ...]
    problems: tuple[Outcome, ...]
    curl: str


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    about: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A type that others are made of."""

    name: str
    about: str
    type: tuple[Word, ...]
    rows: tuple[Row, ...]


def page(document: Json) -> Documentation:
    reader = Reader(document)
    style = _environment().get_template("style.css").render()
    html = (
        _environment()
        .get_template("page.html")
        .render(
            info=document["info"],
            sections=tuple(reader.sections()),
            tables=tuple(reader.tables()),
            problems=tuple(reader.problems()),
            style=Markup(style),  # noqa: S704  # our own file: its hash is what the browser compares
        )
    )
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    headers = {
        "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Documentation(html.encode(), headers)


class Reader:
    """Follows the references of one document."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._components: Json = document["components"]

    def sections(self) -> Iterator[Section]:
        by_tag: dict[str, list[Entry]] = {tag["name"]: [] for tag in self._document["tags"]}
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                by_tag[operation["tags"][0]].append(self._entry(method.upper(), path, operation))
        for tag in self._document["tags"]:
            yield Section(tag["name"], tag["description"], tuple(by_tag[tag["name"]]))

    def tables(self) -> Iterator[Table]:
        for name, schema in self._components["schemas"].items():
            yield Table(name, schema.get("description", ""), _words(schema), tuple(self._fields(schema)))

    def problems(self) -> Iterator[Outcome]:
        """What each status of an error means, once for all operations."""
        found: dict[int, str] = {}
        for methods in self._document["paths"].values():
            for operation in methods.values():
                for outcome in self._outcomes(operation):
                    if outcome.status >= HTTPStatus.BAD_REQUEST:
                        found[outcome.status] = outcome.about
        return (Outcome(status, about) for status, about in sorted(found.items()))

    def _entry(self, method: str, path: str, operation: Json) -> Entry:
        parameters = tuple(self._parameters(operation))
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        outcomes = tuple(self._outcomes(operation))
        return Entry(
            id=operation["operationId"],
            method=method,
            path=path,
            scope=operation["x-orchest-scope"] or "open",
            summary=operation["summary"],
            about=operation["description"],
            parameters=parameters,
            body=tuple(self._fields(self._resolved(body))),
            body_type=_words(body) if body else (),
            outcomes=tuple(one for one in outcomes if one.status < HTTPStatus.BAD_REQUEST),
            problems=tuple(one for one in outcomes if one.status >= HTTPStatus.BAD_REQUEST),
            curl=self._curl(method, path, operation, body),
        )

    def _resolved(self, part: Json) -> Json:
        reference = part.get("$ref")
        if reference is None:
            return part
        kind, name = reference.removeprefix(_COMPONENTS).split("/")
        found: Json = self._components[kind][name]
        return found

    def _parameters(self, operation: Json) -> Iterator[Row]:
        for parameter in map(self._resolved, operation.get("parameters", ())):
            schema = parameter["schema"]
            yield Row(
                name=parameter["name"],
                type=_words(schema),
                limits=_limits(schema),
                is_required=parameter.get("required", False),
                about=parameter.get("description", ""),
                place=parameter["in"],
            )

    def _fields(self, schema: Json) -> Iterator[Row]:
        required = schema.get("required", ())
        for name, field in schema.get("properties", {}).items():
            about = field.get("description", "")
            yield Row(name, _words(field), _limits(field), name in required, about)

    def _outcomes(self, operation: Json) -> Iterator[Outcome]:
        for status, response in operation["responses"].items():
            resolved = self._resolved(response)
            media_type, content = next(iter(resolved.get("content", {"": {}}).items()))
            words = _words(content["schema"]) if content else ()
            yield Outcome(int(status), resolved["description"], words, media_type)

    def _curl(self, method: str, path: str, operation: Json, body: Json) -> str:
        address = re.sub(r"\{(\w+)\}", r"$\1", path)
        lines = [f'curl "$ORCHEST_API{address}"']
        if method != "GET":
            lines[0] = f'curl -X {method} "$ORCHEST_API{address}"'
        if operation["security"]:
            lines.append('-H "Authorization: Bearer $ORCHEST_TOKEN"')
        if body:
            lines.append('-H "Content-Type: application/json"')
            sample = json.dumps(self._sample(body, 0), ensure_ascii=False, indent=2).replace("'", "'\\''")
            lines.append(f"-d '{sample}'")
        return " \\\n  ".join(lines)

    def _sample(self, schema: Json, depth: int) -> object:
        """A value that the schema allows, as small as can be and still telling."""
        schema = self._resolved(schema)
        for key in ("examples", "enum"):
            if schema.get(key):
                return schema[key][0]
        if "const" in schema:
            return schema["const"]
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            return self._sample(choices[0], depth)
        match schema.get("type"):
            case "object":
                return self._sample_object(schema, depth)
            case "array":
                items = schema.get("prefixItems") or [schema.get("items", {})]
                return [] if depth > _DEEPEST else [self._sample(item, depth + 1) for item in items]
            case "integer" | "number":
                return schema.get("default") or schema.get("minimum", 1)
            case "boolean":
                return schema.get("default", True)
            case "string":
                return schema.get("default") or _SAMPLES.get(schema.get("format", ""), "text")
        return schema.get("default")

    def _sample_object(self, schema: Json, depth: int) -> Json:
        fields: Json = schema.get("properties", {})
        wanted = schema.get("required") or list(fields)[:1]
        return {} if depth > _DEEPEST else {name: self._sample(fields[name], depth + 1) for name in wanted}


def _words(schema: Json) -> tuple[Word, ...]:
    """A type in words: `list of ProjectView`, `uuid or null`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return (Word(name, f"type-{name}"),)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return _joined([_words(choice) for choice in choices], " or ")
    if "const" in schema:
        return (Word(json.dumps(schema["const"])),)
    if "enum" in schema:
        return (Word(" | ".join(map(json.dumps, schema["enum"]))),)
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return (Word("list of exactly "), *_joined([_words(item) for item in schema["prefixItems"]], ", "))
        case "array":
            return (Word("list of "), *_words(schema.get("items", {})))
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return (Word("map of text to "), *_words(schema["additionalProperties"]))
        case "string":
            return (Word(schema.get("format", "text")),)
        case None:
            return (Word("any JSON"),)
        case known:
            return (Word(str(known)),)


def _joined(parts: list[tuple[Word, ...]], between: str) -> tuple[Word, ...]:
    return tuple(word for at, part in enumerate(parts) for word in ((Word(between),) if at else ()) + part)


_LIMITS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("maxProperties", "at most {} entries"),
    ("pattern", "matches {}"),
)


def _limits(schema: Json) -> str:
    """What the type alone does not say."""
    bounds = [schema, *schema.get("anyOf", ())]
    said = [text.format(part[key]) for part in bounds for key, text in _LIMITS if key in part]
    if schema.get("default") is not None:
        said.append(f"left out: {json.dumps(schema['default'], ensure_ascii=False)}")
    return "; ".join(said)


def prose(text: str) -> Markup:
    """The three marks of our descriptions: an empty line, `code`, **strong**."""
    paragraphs = (str(escape(part)).replace("\n", " ") for part in text.strip().split("\n\n") if part)
    marked = (
        re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", re.sub(r"`(.+?)`", r"<code>\1</code>", part))
        for part in paragraphs
    )
    return Markup("".join(f"<p>{part}</p>" for part in marked))  # noqa: S704  # escaped above


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("services.api.http"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    return environment
