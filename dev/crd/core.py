"""Kubernetes' core types as structural schemas, cut out of an API server's own OpenAPI document.

In: the document at `/openapi/v3/api/v1`, or the small part of it that is committed as `core.json`. Out: one schema for
each type an OrchestCluster may hold, with every `$ref` inlined. Never: a type written by hand; what is added to them
stands in `fields.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CORE = Path(__file__).with_name("core.json")
TYPES = ("EnvVar", "ResourceRequirements", "Toleration", "Affinity", "LocalObjectReference")
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"

_PREFIX = "#/components/schemas/"
# Defaults would be written into the user's spec; the patch directives are not part of a CRD's schema language.
_DROPPED = frozenset({"default", "description", "x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key"})
# A field of an alpha feature that servers refuse in a Deployment, and one that needs a pod-level field we do not offer.
_DROPPED_PROPERTIES = frozenset({"fileKeyRef", "claims"})


def definitions(openapi: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions that our types need, by full name and without descriptions, sorted: what `core.json` holds."""
    schemas = openapi["components"]["schemas"]
    needed: dict[str, Any] = {}
    pending = [f"io.k8s.api.core.v1.{name}" for name in TYPES]
    while pending:
        name = pending.pop()
        if name not in needed:
            needed[name] = _undescribed(schemas[name])
            pending.extend(_references(needed[name]))
    return dict(sorted(needed.items()))


def committed() -> dict[str, Any]:
    """The definitions in `core.json`."""
    content: dict[str, Any] = json.loads(CORE.read_text())
    return content


def structural(name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """The type of that short name (`EnvVar`) as a structural schema."""
    return _inlined(known[f"io.k8s.api.core.v1.{name}"], known)


def _undescribed(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _undescribed(inner)
            for key, inner in node.items()
            if not (key == "description" and isinstance(inner, str))
        }
    return [_undescribed(inner) for inner in node] if isinstance(node, list) else node


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].removeprefix(_PREFIX)
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _inlined(node: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref") or node.get("allOf", [{}])[0].get("$ref")
    if reference:
        return _referred(reference.removeprefix(_PREFIX), known)
    schema = {key: value for key, value in node.items() if key not in _DROPPED}
    if schema.get("format") == "int32":
        # A CRD's server reads the format as a comment.
        schema |= {"minimum": -(2**31), "maximum": 2**31 - 1}
    if "properties" in schema:
        properties = {
            key: _inlined(inner, known) for key, inner in schema["properties"].items() if key not in _DROPPED_PROPERTIES
        }
        schema["properties"] = dict(sorted(properties.items()))
    for nested in ("items", "additionalProperties"):
        if nested in schema:
            schema[nested] = _inlined(schema[nested], known)
    return schema


def _referred(name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    # A CRD has its own way to say what OpenAPI says with oneOf.
    return {"x-kubernetes-int-or-string": True} if name == QUANTITY else _inlined(known[name], known)
