"""All operations, as tests need them: by name, with the schemas of the document."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, FormatChecker

from dev.api_document import api_document, every_operation
from services.api.http.operation import Nothing, Streams, Writes

if TYPE_CHECKING:
    from services.api.http.operation import Operation

EVERY: dict[str, Operation] = {operation.id: operation for operation in every_operation()}
DOCUMENT = api_document()
STREAMS = frozenset(name for name, operation in EVERY.items() if isinstance(operation.does, Streams))
"""Their answers never end: the tests of the events have them."""
OPEN = frozenset({"get_openapi_document", "get_documentation", "get_health", "get_readiness", "show_session"})
"""All that may be asked without a token, ever. Whoever adds one here says why in docs/how-to/access.md."""
WITH_BODY = {name: operation for name, operation in EVERY.items() if operation.body is not Nothing}
ONCE = {
    name: operation
    for name, operation in EVERY.items()
    if operation.method == "POST" and isinstance(operation.does, Writes)
}
"""Those that take an idempotency key."""


def _is_instant(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


_FORMATS = FormatChecker(["uuid"])
_FORMATS.checks("date-time", ValueError)(_is_instant)


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    return found


def body_schema(operation: Operation) -> dict[str, Any]:
    """Its own component, with its fields."""
    reference: str = described(operation)["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Of a part of the document: its references are found."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]}, format_checker=_FORMATS)


def answer_mistakes(operation: Operation, status: int, answer: Any) -> list[str]:
    """What an answer in JSON has that the document does not say."""
    response = described(operation)["responses"].get(str(status))
    if response is None:
        return [f"{status} is not in the document"]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    content = response.get("content")
    if content is None:
        return [] if answer is None else ["it should have no body"]
    (schema,) = (one["schema"] for one in content.values())
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator(schema).iter_errors(answer)]
