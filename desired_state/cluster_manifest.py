"""One manifest to one OrchestCluster, or everything that is wrong with it.

In: the nodes of a document. Out: the cluster with its `document` (what apply will send), or findings. Server-owned
metadata and `status`, which an export by kubectl carries, are dropped. Never: a secret in a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from desired_state.cluster import OrchestCluster, OrchestClusterSpec
from desired_state.core_types import shown, without_nulls
from desired_state.errors import Finding, Problem, closest, path_text
from desired_state.masking import scrub
from desired_state.metadata import metadata_findings, user_annotations
from desired_state.nodes import Node, ScalarNode, json_of, node_at, position_of
from desired_state.objects import GROUP, VERSION, Json
from desired_state.sensitivity import secrets_in
from desired_state.spec_findings import spec_findings

API_VERSION = f"{GROUP}/{VERSION}"
KIND = "OrchestCluster"


def read_cluster(node: Node, namespace: str) -> tuple[OrchestCluster | None, tuple[Finding, ...]]:
    """The cluster, or what is wrong with it; findings say no secret."""
    manifest = json_of(node)
    if not isinstance(manifest, Mapping):
        return None, (Finding((), found=shown(manifest), expected=f"the manifest of an {KIND}"),)
    foreign = _kind_finding(manifest)
    if foreign is not None:
        return None, (foreign,)
    findings = [*_frame_findings(manifest), *metadata_findings(manifest.get("metadata"))]
    spec = OrchestClusterSpec()
    try:
        spec = OrchestClusterSpec.model_validate({} if manifest.get("spec") is None else manifest["spec"])
    except ValidationError as error:
        findings.extend(spec_findings(error))
    if findings:
        secrets = secrets_in(manifest)
        return None, tuple(_discreet(_with_mend(finding, node), secrets) for finding in findings)
    return _cluster(manifest, spec, namespace), ()


def _cluster(manifest: Mapping[str, Json], spec: OrchestClusterSpec, namespace: str) -> OrchestCluster:
    metadata = manifest["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace") or namespace
    labels, annotations = metadata.get("labels") or {}, user_annotations(metadata)
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": namespace,
            **({"labels": labels} if labels else {}),
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": without_nulls(manifest.get("spec") or {}),
    }
    return OrchestCluster(
        namespace=namespace, name=name, labels=labels, annotations=annotations, spec=spec, document=document
    )


def _kind_finding(manifest: Mapping[str, Json]) -> Finding | None:
    kind = manifest.get("kind")
    if kind == KIND:
        return None
    if kind is None:
        meant = closest("kind", (key for key in manifest if key not in {"apiVersion", "metadata", "spec", "status"}))
        mend = f'rename "{meant}"' if meant else f"write kind: {KIND}, and keep other files out of this folder"
        return Finding(("kind",), "is missing", mend=mend)
    if isinstance(kind, str) and closest(kind, (KIND,)) and kind != "OrchestComponent":
        return Finding(("kind",), f"unknown kind {shown(kind)}", suggestion=KIND)
    return Finding(("kind",), found=shown(kind), expected=KIND, mend=f"keep only {KIND} manifests under this path")


def _frame_findings(manifest: Mapping[str, Json]) -> Iterator[Finding]:
    found = manifest.get("apiVersion")
    if found is None:
        yield Finding(("apiVersion",), "is missing", mend=f"write apiVersion: {API_VERSION}")
    elif found != API_VERSION:
        yield Finding(("apiVersion",), f"unknown apiVersion {shown(found)}", suggestion=API_VERSION)
    known = ("apiVersion", "kind", "metadata", "spec", "status")
    for field in manifest:
        if field not in known:
            yield Finding((field,), "unknown field", suggestion=closest(field, known[2:]))


_BOOLEANS = {
    "yes": "true",
    "y": "true",
    "on": "true",
    "no": "false",
    "n": "false",
    "off": "false",
    "true": "true",
    "false": "false",
}


def _with_mend(finding: Finding, root: Node) -> Finding:
    """A mend for what YAML made of a scalar: `2022.10` is a number, `"true"` a string, and the quotes explain it."""
    node = node_at(root, finding.path)
    if not isinstance(node, ScalarNode):
        return finding
    expects_string = finding.expected == "a string" or "write it in quotes" in finding.message
    if expects_string and not isinstance(node.value, str) and node.value is not None:
        found = f"the {'boolean' if isinstance(node.value, bool) else 'number'} {node.text}"
        return Finding(finding.path, found=found, expected="a string", mend=f'quote it: "{node.text}"')
    if finding.expected == "true or false" and node.text.lower() in _BOOLEANS:
        return finding._replace(mend=f"write {_BOOLEANS[node.text.lower()]} without quotes")
    if finding.expected == "a whole number" and node.text.isdecimal():
        return finding._replace(mend=f"write {node.text} without quotes")
    return finding


def _discreet(finding: Finding, secrets: frozenset[str]) -> Finding:
    """Without the manifest's secrets. A path stays: it names fields, which are no secrets."""

    def hidden(text: str) -> str:
        return scrub(text, secrets, lambda _: "(sensitive)")

    return finding._replace(message=hidden(finding.message), found=hidden(finding.found), mend=hidden(finding.mend))


def located(file: str, root: Node, finding: Finding) -> Problem:
    line, column = position_of(root, finding.path)
    return Problem(file, line, column, path_text(finding.path), *finding[1:])
