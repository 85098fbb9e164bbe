"""Every field of an `OrchestCluster`, with its description and its rules.

In: the core types as structural schemas. Out: the schema of spec and status, and the core types with our limits on
them. Never: defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from desired_state import rules
from dev.crd import cel, core

if TYPE_CHECKING:
    from collections.abc import Mapping

Schema: TypeAlias = dict[str, Any]


class CoreType(dict[str, Any]):
    """A schema that comes from an API server."""


def _described(schema: Schema, description: str) -> Schema:
    return type(schema)({"description": description, **schema})


def _object(properties: Mapping[str, Schema], **rest: Any) -> Schema:
    return {"type": "object", "properties": dict(properties), **rest}


def _list(items: Schema, **rest: Any) -> Schema:
    return {"type": "array", "items": items, "x-kubernetes-list-type": "atomic", **rest}


def _text(*validations: cel.Rule, longest: int | None = None) -> Schema:
    limit = {} if longest is None else {"maxLength": longest}
    return {"type": "string", **limit, **({"x-kubernetes-validations": list(validations)} if validations else {})}


_BOOLEAN: Schema = {"type": "boolean"}
_GENERATION: Schema = {"type": "integer", "format": "int64"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_SIZE = _text(cel.SIZE, cel.NO_SHRINKING, longest=64)
_NODE_SELECTOR: Schema = {
    "type": "object",
    "maxProperties": rules.MOST_LABELS,
    "additionalProperties": _text(cel.LABEL_VALUE, longest=rules.LONGEST_LABEL_NAME),
    "x-kubernetes-validations": [cel.LABEL_KEYS],
}


def core_types(definitions: Mapping[str, Any]) -> dict[str, CoreType]:
    """The core types by the field that holds them, with our limits and rules on them."""
    types = {name: core.structural(name, definitions) for name in core.TYPES}
    schemas = {
        "affinity": types["Affinity"],
        "env": _env(types["EnvVar"]),
        "imagePullSecrets": _pull_secrets(types["LocalObjectReference"]),
        "resources": _resources(types["ResourceRequirements"]),
        "tolerations": _list(types["Toleration"]),
    }
    return {field: CoreType(schema) for field, schema in schemas.items()}


def _env(entry: Schema) -> Schema:
    # The two limits keep the cost of comparing each name with each other inside the server's budget.
    entry["properties"]["name"] |= {
        "minLength": 1,
        "maxLength": rules.LONGEST_ENV_NAME,
        "x-kubernetes-validations": [cel.ENV_NAME],
    }
    source = entry["properties"]["valueFrom"]
    source["x-kubernetes-validations"] = [cel.ENV_SOURCE]
    source["properties"]["resourceFieldRef"]["properties"]["divisor"] |= _quantity()
    entry["x-kubernetes-validations"] = [cel.ENV_VALUE]
    return _list(entry, maxItems=256, **{"x-kubernetes-validations": [cel.ENV_UNIQUE]})


def _pull_secrets(entry: Schema) -> Schema:
    entry["required"] = ["name"]
    entry["properties"]["name"] |= {"minLength": 1, "maxLength": rules.LONGEST_DNS_SUBDOMAIN}
    return _list(entry, maxItems=32, **{"x-kubernetes-validations": [cel.SECRETS_UNIQUE]})


def _resources(requirements: Schema) -> Schema:
    for amounts in requirements["properties"].values():
        amounts["maxProperties"] = 32
        amounts["additionalProperties"] |= _quantity()
    return requirements


def _quantity() -> Schema:
    return {"maxLength": 64, "x-kubernetes-validations": [cel.QUANTITY]}


def _component(types: Mapping[str, Schema], description: str, replicas: cel.Rule) -> Schema:
    return _object(
        {
            "image": _described(
                _text(cel.IMAGE, longest=1024),
                "Unset: the image of the release. Set: deployed as written and kept on every update.",
            ),
            "env": _described(types["env"], "Merged over spec.orchest.env, by name."),
            "nodeSelector": _described(_NODE_SELECTOR, "Merged over the control or worker node selector."),
            "stateVolumeName": _described(
                _text(cel.CLAIM, longest=253), "Written by the original controller; the volume mode decides."
            ),
            "replicas": _described(
                {"type": "integer", "format": "int32", "x-kubernetes-validations": [replicas]},
                "Number of pods. Unset: left to the cluster, one at first.",
            ),
            "resources": _described(types["resources"], "Requests and limits of the component's containers."),
            "tolerations": _described(types["tolerations"], "Taints that the component's pods tolerate."),
            "affinity": _described(types["affinity"], "Scheduling constraints of the component's pods."),
            "imagePullSecrets": _described(
                types["imagePullSecrets"], "Secrets of this namespace with credentials of the image's registry."
            ),
            "imagePullPolicy": _described(
                {"type": "string", "enum": list(rules.PULL_POLICIES)}, "When the image is pulled. Unset: IfNotPresent."
            ),
        },
        description=description,
    )


def _applications() -> Schema:
    parameter = _object(
        {
            "name": _described({"type": "string"}, "Path of the chart's value, such as persistence.size."),
            "value": _described(_text(), "The value, always as a string."),
            "forceString": _described(_BOOLEAN, "Accepted for compatibility, without effect."),
        },
        required=["name"],
    )
    helm = _object(
        {
            "parameters": _described(_list(parameter), "Single values of the chart."),
            "values": _described(_list({"type": "string"}), "Accepted for compatibility, without effect."),
            "releaseName": _described(_text(), "Accepted for compatibility, without effect."),
        },
        description="Settings of its chart.",
    )
    application = _object(
        {
            "name": _described({"type": "string", "enum": list(rules.APPLICATIONS)}, "Which third party."),
            "needs": _described(_list({"type": "string"}), "Accepted for compatibility, without effect."),
            "config": _object({"helm": helm}, description="Its settings."),
        },
        required=["name"],
    )
    return _list(application, maxItems=16, **{"x-kubernetes-validations": [cel.APPLICATIONS_UNIQUE]})


def _volume(description: str) -> Schema:
    return _object(
        {
            "volumeSize": _described(_SIZE, "Size of the claim; it may grow, never shrink."),
            "mountPath": _described(_text(), "Accepted for compatibility, without effect."),
            "storageClass": _described(
                _text(cel.STORAGE_CLASS, longest=253), "Unset: the cluster's default StorageClass."
            ),
        },
        description=description,
    )


def _orchest_resources() -> Schema:
    return _object(
        {
            "userDirVolumeSize": _described(_SIZE, "Size of the claim userdir-pvc. Unset: 50Gi."),
            "orchestStateVolumeSize": _described(
                _SIZE, "Size of the claim orchest-state, when it is separate. Unset: 5Gi."
            ),
            "separateOrchestStateFromUserDir": _described(_BOOLEAN, "true: state and user data have a claim each."),
            "userDirVolume": _volume("The claim userdir-pvc, when state is separate."),
            "orchestStateVolume": _volume("The claim orchest-state, when state is separate."),
            "configDirVolumeSize": _described(_text(), "Deprecated, without effect."),
        },
        description="Volumes of the cluster.",
    )


def _orchest(types: Mapping[str, Schema]) -> Schema:
    return _object(
        {
            "pause": _described(_BOOLEAN, "true: all components are stopped; volumes stay."),
            "orchestHost": _described(_text(cel.HOST, longest=253), "Host name of every ingress rule."),
            "registry": _described(
                _text(cel.REGISTRY, longest=255), "Prefix of the release's images. Unset: Docker Hub."
            ),
            "version": _described(
                _text(cel.VERSION, longest=128), "Tag of the release's images. Unset: the release of the controller."
            ),
            "env": _described(types["env"], "Environment of every component."),
            "resources": _orchest_resources(),
            "orchestApi": _component(types, "The API.", cel.REPLICAS),
            "orchestWebServer": _component(types, "The web server.", cel.REPLICAS),
            "celeryWorker": _component(types, "The worker of background jobs (an RQ worker).", cel.REPLICAS),
            "authServer": _component(types, "The authentication server.", cel.REPLICAS),
            "nodeAgent": _component(types, "The agent on every node.", cel.REPLICAS_NODE),
            "buildkitDaemon": _component(
                types, "The image builder on every node (containerd only).", cel.REPLICAS_NODE
            ),
        },
        description="Orchest itself.",
    )


def spec(types: Mapping[str, Schema]) -> Schema:
    """The schema of `spec`."""
    return _object(
        {
            "singleNode": _described(
                _BOOLEAN,
                "true: a pipeline run is one pod. false: a pod for each step, and user data is shared between nodes.",
            ),
            "controlNodeSelector": _described(_NODE_SELECTOR, "Nodes for the control plane's components."),
            "workerNodeSelector": _described(
                _NODE_SELECTOR, "Nodes for user workloads, node-agent and buildkit-daemon."
            ),
            "postgres": _component(types, "The database.", cel.REPLICAS_SINGLE),
            "rabbitMq": _component(types, "The broker (a Redis).", cel.REPLICAS_SINGLE),
            "applications": _described(
                _applications(), "Third parties beside Orchest, in order. Unset: argo-workflow and docker-registry."
            ),
            "orchest": _orchest(types),
        },
        description="What the cluster should be. An unset field follows the release.",
    )


def status() -> Schema:
    """The schema of `status`."""
    condition = _object(
        {
            "type": _described(_text(), "Ready, Reconciling, Stalled, Drifted or Paused."),
            "status": _described(_text(), "True, False or Unknown."),
            "reason": _described(_text(), "Why, in one word for programs."),
            "message": _described(_text(), "Why, in a sentence for people."),
            "observedGeneration": _described(_GENERATION, "The generation that this was said of."),
            "lastTransitionTime": _described(_TIME, "Since when the status is what it is."),
            "event": _described(_text(), "What the original controller wrote instead of type and status."),
            "lastHeartbeatTime": _described(_TIME, "Written by the original controller."),
        }
    )
    owned = _object(
        {
            "key": _described({"type": "string"}, "Kind.group/namespace/name."),
            "uid": _described({"type": "string"}, "metadata.uid of the object."),
        },
        required=["key", "uid"],
    )
    return _object(
        {
            "state": _described(_text(), "Initializing, Running, Stopped, Updating, Error ..."),
            "conditions": _described(
                _list(condition), "Kubernetes' conditions, or those the original controller wrote."
            ),
            "observedGeneration": _described(_GENERATION, "The generation of the spec that was applied last."),
            "observedHash": _described(_text(), "Written by the original controller."),
            "lastHeartbeatTime": _described(_TIME, "When the state was written last."),
            "reason": _described(_text(), "Why the state is what it is."),
            "version": _described(_text(), "The release that runs."),
            "revision": _described(_text(), "The Git commit applied last."),
            "registries": _described(
                _list({"type": "string"}), "Registries that release images were taken from earlier."
            ),
            "inventory": _described(
                _list(owned), "The objects that belong to this cluster; nothing else is ever deleted."
            ),
        },
        description="What the cluster is.",
    )
