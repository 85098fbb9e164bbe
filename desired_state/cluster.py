"""The `OrchestCluster` as frozen models: what a user may write, and nothing that a program fills in.

In: a spec as JSON. Out: models, or pydantic's ValidationError with every problem at its path. The judgement is the
CRD's, rule by rule (`tests/crds` holds the two together).
Never: defaults. Unset stays unset (`None`), and so does "", which the original wrote for strings nobody had set; what
unset means is the release's business and decided when rendering.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StrictBool, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from desired_state import rules
from desired_state.core_types import Problem, core_type, refuse, stored, without_nulls
from desired_state.objects import GROUP, ObjectKey

_Value = TypeVar("_Value")


def _must(rule: str, holds: Callable[[_Value], bool]) -> AfterValidator:
    """The rule of that name, for a value that is set."""

    def check(value: _Value | None) -> _Value | None:
        if value is not None and not holds(value):
            refuse([rules.refusal(rule, value)])
        return value

    return AfterValidator(check)


def _without(problems: Callable[[Any], Iterable[Problem]]) -> AfterValidator:
    """No problem of this kind, in a value that is set."""

    def check(value: _Value | None) -> _Value | None:
        if value is not None:
            refuse(problems(value))
        return value

    return AfterValidator(check)


def _core(name: str) -> BeforeValidator:
    """The core type's own schema, before anything else looks at the value."""
    return BeforeValidator(lambda value: None if value is None else stored(value, core_type(name)))


def _unset_when_empty(value: Any) -> Any:
    return None if value == "" else value


Text = Annotated[StrictStr | None, BeforeValidator(_unset_when_empty)]
Version = Annotated[Text, _must("version", rules.is_tag)]
Registry = Annotated[Text, _must("registry", rules.is_registry)]
Image = Annotated[Text, _must("image", rules.is_image)]
Host = Annotated[Text, _must("host", rules.is_dns_subdomain)]
StorageClass = Annotated[Text, _must("storage-class", rules.is_dns_subdomain)]
Claim = Annotated[Text, _must("claim", rules.is_dns_subdomain)]
Size = Annotated[Text, _without(rules.size_problems)]

NodeSelector = Annotated[
    Mapping[StrictStr, StrictStr] | None, BeforeValidator(without_nulls), _without(rules.selector_problems)
]
Env = Annotated[tuple[Mapping[str, Any], ...] | None, _core("env"), _without(rules.env_problems)]
Resources = Annotated[Mapping[str, Any] | None, _core("resources")]
Tolerations = Annotated[tuple[Mapping[str, Any], ...] | None, _core("tolerations")]
Affinity = Annotated[Mapping[str, Any] | None, _core("affinity")]
PullSecrets = Annotated[
    tuple[Mapping[str, Any], ...] | None, _core("imagePullSecrets"), _without(rules.secret_problems)
]

Replicas = Annotated[StrictInt | None, _must("replicas", rules.is_count)]
ReplicasOfOneVolume = Annotated[StrictInt | None, _must("replicas-single", lambda count: count in {0, 1})]
ReplicasOfEveryNode = Annotated[StrictInt | None, _must("replicas-node", lambda _: False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=False)


class ComponentTemplate(_Model):
    """One component's own settings. Core types are JSON as Kubernetes spells it, checked by the CRD's sub-schemas."""

    image: Image = None
    env: Env = None
    node_selector: NodeSelector = None
    state_volume_name: Claim = None
    replicas: Replicas = None
    resources: Resources = None
    tolerations: Tolerations = None
    affinity: Affinity = None
    image_pull_secrets: PullSecrets = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None


class VolumeComponentTemplate(ComponentTemplate):
    """A component whose pods would share one volume: at most one replica."""

    replicas: ReplicasOfOneVolume = None


class NodeComponentTemplate(ComponentTemplate):
    """A component with one pod on every node: replicas are refused."""

    replicas: ReplicasOfEveryNode = None


class HelmParameter(_Model):
    name: StrictStr
    value: StrictStr | None = None
    force_string: StrictBool | None = None


class HelmConfig(_Model):
    parameters: tuple[HelmParameter, ...] | None = None
    values: tuple[StrictStr, ...] | None = None
    release_name: Text = None


class ApplicationConfig(_Model):
    helm: HelmConfig | None = None


class Application(_Model):
    name: Literal["argo-workflow", "docker-registry", "efs-csi-driver", "ingress-nginx"]
    needs: tuple[StrictStr, ...] | None = None
    config: ApplicationConfig | None = None


def _application_problems(applications: Iterable[Application]) -> Iterable[Problem]:
    return rules.duplicates("applications-unique", [application.name for application in applications])


Applications = Annotated[tuple[Application, ...] | None, _without(_application_problems)]


class Volume(_Model):
    volume_size: Size = None
    mount_path: Text = None
    storage_class: StorageClass = None


class OrchestResources(_Model):
    user_dir_volume_size: Size = None
    orchest_state_volume_size: Size = None
    separate_orchest_state_from_user_dir: StrictBool | None = None
    user_dir_volume: Volume | None = None
    orchest_state_volume: Volume | None = None
    config_dir_volume_size: Text = None
    """Deprecated by the original and used by nobody, so anything may stand here."""


class Orchest(_Model):
    pause: StrictBool | None = None
    orchest_host: Host = None
    registry: Registry = None
    version: Version = None
    env: Env = None
    resources: OrchestResources | None = None
    orchest_api: ComponentTemplate | None = None
    orchest_web_server: ComponentTemplate | None = None
    celery_worker: ComponentTemplate | None = None
    auth_server: ComponentTemplate | None = None
    node_agent: NodeComponentTemplate | None = None
    buildkit_daemon: NodeComponentTemplate | None = None


class OrchestClusterSpec(_Model):
    single_node: StrictBool | None = None
    control_node_selector: NodeSelector = None
    worker_node_selector: NodeSelector = None
    postgres: VolumeComponentTemplate | None = None
    rabbit_mq: VolumeComponentTemplate | None = None
    applications: Applications = None
    orchest: Orchest | None = None


class OrchestCluster(BaseModel):
    """One cluster as Git has it. `document` is the manifest as it was written (JSON), for the CR that apply sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: OrchestClusterSpec
    document: Mapping[str, Any]

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(GROUP, "OrchestCluster", self.namespace, self.name)
