"""The metadata of an OrchestCluster: names, labels, and the annotations that mean something to us.

In: `metadata` as JSON. Out: what of it is the user's, or what is wrong with it. Never: fields that the server owns,
such as an export by kubectl has them; they are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from desired_state.core_types import shown
from desired_state.errors import FieldPath, Finding, closest
from desired_state.objects import GROUP, Json
from desired_state.release import Component
from desired_state.rules import is_dns_subdomain, is_label_key, is_label_value
from desired_state.sensitivity import LAST_APPLIED_ANNOTATION

DEFAULT_NAMESPACE = "orchest"

DRIFT_ANNOTATION = f"{GROUP}/drift"
IGNORE_DRIFT_ANNOTATION = f"{GROUP}/ignore-drift"
PIN_IMAGES_ANNOTATION = f"{GROUP}/pin-images"
RUNTIME_SOCKET_ANNOTATION = f"{GROUP}/container-runtime-socket"
DEPLOY_INGRESS_ANNOTATION = f"controller.{GROUP}/deploy-ingress"

_OURS = ("name", "namespace", "labels", "annotations")
_SERVER_OWNED = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_LONGEST_NAME = 63
"""The name becomes the value of a label, the namespace is a DNS label."""
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def pinned_components(annotations: Mapping[str, str]) -> frozenset[str]:
    """The components whose image `orchest.io/pin-images` keeps as written."""
    return frozenset(_listed(annotations.get(PIN_IMAGES_ANNOTATION, "")))


def user_annotations(metadata: Mapping[str, Json]) -> dict[str, str]:
    """The annotations without kubectl's copy of the whole object, which would go stale and may hold secrets."""
    annotations = metadata.get("annotations") or {}
    return {name: value for name, value in annotations.items() if name != LAST_APPLIED_ANNOTATION}


def metadata_findings(metadata: Json) -> Iterator[Finding]:
    """Everything that is wrong with an OrchestCluster's metadata."""
    here: FieldPath = ("metadata",)
    if not isinstance(metadata, Mapping):
        yield Finding(here, found=shown(metadata), expected="a mapping with a name")
        return
    for field in metadata:
        if field not in _OURS and field not in _SERVER_OWNED:
            yield Finding((*here, field), "unknown field", suggestion=closest(field, _OURS))
    yield from _name_findings(metadata)
    yield from _namespace_findings(metadata.get("namespace"))
    for field in ("labels", "annotations"):
        yield from _text_findings(metadata.get(field), (*here, field))
    yield from _label_findings(metadata.get("labels"))
    yield from _annotation_findings(metadata.get("annotations"))


def _name_findings(metadata: Mapping[str, Json]) -> Iterator[Finding]:
    path: FieldPath = ("metadata", "name")
    name = metadata.get("name")
    if name is None or name == "":
        yield Finding(path, "is missing", mend="give the cluster a name, such as cluster-1")
    elif not isinstance(name, str):
        yield Finding(path, found=shown(name), expected="a string", mend=f'quote it: "{name}"')
    elif not is_dns_subdomain(name) or len(name) > _LONGEST_NAME:
        letters = f'at most {_LONGEST_NAME} lower-case letters, digits, "-" and "."'
        expected = f"{letters}, beginning and ending with a letter or digit"
        yield Finding(path, found=shown(name), expected=expected)


def _namespace_findings(namespace: Json) -> Iterator[Finding]:
    path: FieldPath = ("metadata", "namespace")
    if namespace is None or namespace == "":
        return
    if not isinstance(namespace, str):
        yield Finding(path, found=shown(namespace), expected="a string", mend=f'quote it: "{namespace}"')
    elif not _LABEL.fullmatch(namespace) or len(namespace) > _LONGEST_NAME:
        expected = (
            f'at most {_LONGEST_NAME} lower-case letters, digits and "-", beginning and ending with a letter or digit'
        )
        yield Finding(path, found=shown(namespace), expected=expected)


def _text_findings(texts: Json, path: FieldPath) -> Iterator[Finding]:
    """Keys and values of labels and annotations."""
    if texts is None:
        return
    if not isinstance(texts, Mapping):
        yield Finding(path, found=shown(texts), expected="a mapping of strings")
        return
    for name, value in texts.items():
        if not is_label_key(name):
            yield Finding(
                (*path, name),
                f"{shown(name)} is not a name for this",
                mend="use prefix/name or name, at most 63 characters",
            )
        if not isinstance(value, str):
            yield Finding((*path, name), found=shown(value), expected="a string", mend=_quoting(value))


def _quoting(value: Json) -> str:
    if isinstance(value, bool | int | float):
        return f'quote it: "{shown(value)}"'
    return "remove it or give it a value" if value is None else ""


def _label_findings(labels: Json) -> Iterator[Finding]:
    for name, value in _texts(labels):
        if not is_label_value(value):
            expected = 'at most 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit'
            yield Finding(("metadata", "labels", name), found=shown(value), expected=expected)


def _annotation_findings(annotations: Json) -> Iterator[Finding]:
    for name, value in _texts(annotations):
        path: FieldPath = ("metadata", "annotations", name)
        if name in _CHECKS:
            yield from _CHECKS[name](path, value)
        elif meant := _misspelt(name):
            yield Finding(path, "unknown annotation", suggestion=meant)


def _texts(texts: Json) -> Iterator[tuple[str, str]]:
    if isinstance(texts, Mapping):
        yield from ((name, value) for name, value in texts.items() if isinstance(value, str))


def _drift_findings(path: FieldPath, value: str) -> Iterator[Finding]:
    modes = ("observe", "warn", "correct")
    if value not in modes:
        yield Finding(path, found=shown(value), expected="observe, warn or correct", suggestion=closest(value, modes))


_IGNORE_RULE = re.compile(r"(?:[A-Z][A-Za-z]*/[a-z0-9][-a-z0-9.]*:)?(?:/(?:[^~/\s]|~[01])+)+")


def _ignore_findings(path: FieldPath, value: str) -> Iterator[Finding]:
    for rule in _listed(value):
        if not _IGNORE_RULE.fullmatch(rule):
            expected = "a JSON pointer such as /spec/replicas, or Deployment/orchest-api:/spec/replicas for one object"
            yield Finding(path, found=shown(rule), expected=expected)


def _pin_findings(path: FieldPath, value: str) -> Iterator[Finding]:
    components = tuple(component.value for component in Component)
    for name in _listed(value):
        if name not in components:
            meant = closest(name, components)
            mend = "" if meant else f"known are {', '.join(components)}"
            yield Finding(path, f"unknown component {shown(name)}", suggestion=meant, mend=mend)


def _ingress_findings(path: FieldPath, value: str) -> Iterator[Finding]:
    if value not in {"true", "false"}:
        yield Finding(path, found=shown(value), expected='"true" or "false"')


_SOCKET = re.compile(r"(?:unix://)?(?:/[^/\s]+)+")


def _socket_findings(path: FieldPath, value: str) -> Iterator[Finding]:
    if not _SOCKET.fullmatch(value):
        yield Finding(path, found=shown(value), expected="an absolute path, such as /run/containerd/containerd.sock")


_CHECKS: Mapping[str, Callable[[FieldPath, str], Iterator[Finding]]] = {
    DRIFT_ANNOTATION: _drift_findings,
    IGNORE_DRIFT_ANNOTATION: _ignore_findings,
    PIN_IMAGES_ANNOTATION: _pin_findings,
    DEPLOY_INGRESS_ANNOTATION: _ingress_findings,
    RUNTIME_SOCKET_ANNOTATION: _socket_findings,
}
_OTHERS = (f"{GROUP}/restart", f"controller.{GROUP}/k8s", f"controller.{GROUP}/generation")
"""Of the original: any value."""


def _misspelt(name: str) -> str:
    """The annotation of ours that `name` nearly is. Foreign prefixes and unlike names are the user's own."""
    prefix, _, word = name.rpartition("/")
    if prefix not in {GROUP, f"controller.{GROUP}"} or name in _OTHERS:
        return ""
    known = {annotation.rpartition("/")[2]: annotation for annotation in (*_CHECKS, *_OTHERS)}
    return known.get(closest(word, known), "")


def _listed(text: str) -> list[str]:
    """The entries of a list in an annotation: separated by commas or new lines."""
    return [entry for entry in (part.strip() for part in re.split(r"[,\n]", text)) if entry]
