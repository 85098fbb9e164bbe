"""Names, labels and our annotations are checked where they are written."""

from __future__ import annotations

from typing import Any

import pytest

from desired_state.errors import Problem, path_text
from desired_state.metadata import metadata_findings, pinned_components

ACCEPTED: list[dict[str, Any]] = [
    {},
    {"namespace": ""},
    {"labels": None, "annotations": None},
    {"labels": {"app.kubernetes.io/name": "a", "empty": ""}},
    {"annotations": {"anything": "at all\n{}", "example.com/x": ""}},
    {"annotations": {"orchest.io/drift": "warn"}},
    {
        "annotations": {
            "orchest.io/ignore-drift": "/spec/replicas, Deployment/orchest-api:/spec/a~1b\n/metadata/labels/x"
        }
    },
    {"annotations": {"orchest.io/pin-images": "orchest-api, celery-worker"}},
    {"annotations": {"orchest.io/pin-images": ""}},
    {"annotations": {"controller.orchest.io/deploy-ingress": "false"}},
    {"annotations": {"orchest.io/container-runtime-socket": "/var/snap/microk8s/common/run/containerd.sock"}},
    {"annotations": {"orchest.io/restart": "true", "controller.orchest.io/k8s": "microk8s"}},
    {"annotations": {"orchest.io/something-of-mine": "x"}},
    {"name": "a" * 63},
    {"uid": "x", "creationTimestamp": None, "ownerReferences": []},
]


def told(metadata: Any) -> list[str]:
    findings = metadata_findings(metadata)
    return [str(Problem("a.yaml", 1, 1, path_text(finding.path), *finding[1:])) for finding in findings]


@pytest.mark.parametrize("metadata", ACCEPTED)
def test_good_metadata_has_no_finding(metadata: dict[str, Any]) -> None:
    assert told({"name": "cluster-1", **metadata}) == []


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "metadata.name: is missing; give the cluster a name"),
    ({"name": None}, "metadata.name: is missing"),
    ({"name": 12}, 'metadata.name: found 12, expected a string; quote it: "12"'),
    ({"name": "Cluster"}, 'metadata.name: found "Cluster", expected at most 63 lower-case letters'),
    ({"name": "a" * 64}, "metadata.name: found "),
    ({"name": "a-"}, "metadata.name: found "),
    ({"namespace": "a.b"}, "metadata.namespace: found "),
    ({"namespace": 3}, 'metadata.namespace: found 3, expected a string; quote it: "3"'),
    ({"lables": {}}, 'metadata.lables: unknown field, did you mean "labels"?'),
    ({"labels": []}, "metadata.labels: found a list, expected a mapping of strings"),
    ({"labels": {"a": 1}}, 'metadata.labels.a: found 1, expected a string; quote it: "1"'),
    ({"labels": {"a": "x y"}}, 'metadata.labels.a: found "x y", expected at most 63 letters'),
    ({"labels": {"a b": "x"}}, 'metadata.labels["a b"]: "a b" is not a name for this'),
    ({"annotations": {"a": False}}, 'metadata.annotations.a: found false, expected a string; quote it: "false"'),
    ({"annotations": {"a": None}}, "metadata.annotations.a: found null, expected a string; remove it"),
    (
        {"annotations": {"orchest.io/drift": "corect"}},
        '["orchest.io/drift"]: found "corect", expected observe, warn or correct, did you mean "correct"?',
    ),
    ({"annotations": {"orchest.io/drfit": "warn"}}, 'unknown annotation, did you mean "orchest.io/drift"?'),
    (
        {"annotations": {"orchest.io/deploy-ingress": "false"}},
        'unknown annotation, did you mean "controller.orchest.io/deploy-ingress"?',
    ),
    ({"annotations": {"orchest.io/ignore-drift": "spec.replicas"}}, 'found "spec.replicas", expected a JSON pointer'),
    (
        {"annotations": {"orchest.io/ignore-drift": "/a,Deployment:/b"}},
        'found "Deployment:/b", expected a JSON pointer',
    ),
    ({"annotations": {"orchest.io/ignore-drift": "/a~2"}}, 'found "/a~2", expected a JSON pointer'),
    (
        {"annotations": {"orchest.io/pin-images": "orchest-apo"}},
        'unknown component "orchest-apo", did you mean "orchest-api"?',
    ),
    ({"annotations": {"orchest.io/pin-images": "xyz"}}, 'unknown component "xyz"; known are orchest-database'),
    ({"annotations": {"controller.orchest.io/deploy-ingress": "no"}}, 'found "no", expected "true" or "false"'),
    (
        {"annotations": {"orchest.io/container-runtime-socket": "run/x.sock"}},
        'found "run/x.sock", expected an absolute path',
    ),
]


@pytest.mark.parametrize(("metadata", "expected"), REFUSED)
def test_bad_metadata_is_told_with_the_mend(metadata: dict[str, Any], expected: str) -> None:
    (line,) = told({"name": "cluster-1", **metadata})

    assert expected in line


def test_metadata_that_is_no_mapping_is_told() -> None:
    assert "found null, expected a mapping with a name" in told(None)[0]


def test_pinned_components_are_named_in_any_layout() -> None:
    assert pinned_components({"orchest.io/pin-images": " orchest-api,celery-worker\nauth-server, "}) == {
        "orchest-api",
        "celery-worker",
        "auth-server",
    }
    assert pinned_components({}) == frozenset()
