"""An admission policy that says no, and quotes what it was sent."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dev.cluster.launcher import Cluster

_POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
_BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
_CONTAINERS = {"deployments": "object.spec.template.spec.containers", "pods": "object.spec.containers"}


@contextmanager
def denied(
    cluster: Cluster, namespaces: Sequence[str], variable: str, resource: str, *, in_dry_run: bool = False
) -> Iterator[None]:
    """In these namespaces no object of `resource` may have this environment variable; `in_dry_run`: nor may a
    rehearsal.
    """
    name = f"denied-{uuid4().hex[:8]}"
    containers = _CONTAINERS[resource]
    has_none = f"!{containers}.exists(c, has(c.env) && c.env.exists(e, e.name == '{variable}'))"
    allowed = has_none if in_dry_run else f"(has(request.dryRun) && request.dryRun) || {has_none}"
    values = f"{containers}.map(c, c.env.map(e, has(e.value) ? e.value : '').join(' ')).join(' ')"
    selector = {
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)}]
    }
    rule = {
        "apiGroups": ["apps" if resource == "deployments" else ""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": [resource],
    }
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule], "namespaceSelector": selector},
            "validations": [{"expression": allowed, "messageExpression": f"'denied: ' + {values}"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    cluster.api.post(_POLICIES, policy).expect(201)
    cluster.api.post(_BINDINGS, binding).expect(201)
    try:
        for namespace in namespaces:
            _await_denial(cluster, namespace, variable, resource)
        yield
    finally:
        cluster.api.delete(f"{_BINDINGS}/{name}")
        cluster.api.delete(f"{_POLICIES}/{name}")


def _await_denial(cluster: Cluster, namespace: str, variable: str, resource: str) -> None:
    """The server takes a moment until it follows a new policy."""
    container = {"name": "main", "image": "x", "env": [{"name": variable, "value": "x"}]}
    pod: dict[str, Any] = {"containers": [container], "nodeSelector": {"nowhere": "true"}}
    metadata = {"name": "probe", "labels": {"a": "b"}}
    probe = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}
    path = f"/api/v1/namespaces/{namespace}/pods"
    if resource == "deployments":
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
        spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
        probe = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    give_up = time.monotonic() + 30
    while cluster.api.post(path, probe).status in {201, 409}:
        cluster.api.delete(f"{path}/probe", {"gracePeriodSeconds": 0})
        assert time.monotonic() < give_up, "the policy is not followed"
        time.sleep(0.3)
