"""The OpenAPI 3.1 schema, and what a document does against it."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31


def mistakes_of(document: dict[str, Any]) -> list[str]:
    """Empty for a valid document: against OpenAPI's own schema, and each type against that of JSON Schema."""
    found = [error.message[:200] for error in Draft202012Validator(OPENAPI_31).iter_errors(document)]
    types = document["components"]["schemas"]
    invalid = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    return found + [f"{name}: {error.message}" for name in types for error in invalid.iter_errors(types[name])]
