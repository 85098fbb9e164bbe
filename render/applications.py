"""`spec.applications`: the image registry is ours, everything else is installed by its own chart and only reported.

In: the spec. Out: the settings of the registry, or None when this cluster has none, and a note for whatever was asked
for in vain. The original installed a chart, so its settings are chart parameters; the usual ones keep their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from desired_state import rules
from desired_state.cluster import Application, ComponentTemplate
from desired_state.objects import Note, Severity
from desired_state.release import THIRD_PARTY_IMAGES, Component
from render.address import is_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from desired_state.cluster import HelmConfig, OrchestClusterSpec

REGISTRY = "docker-registry"
REGISTRY_PATH = "spec.applications[name=docker-registry]"
_DEFAULT_APPLICATIONS = (Application(name="argo-workflow"), Application(name=REGISTRY))
_SELECTOR_PREFIX = "nodeSelector."


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    size: str
    storage_class: str
    """"" for the cluster's default class."""
    address: str
    """The Service's cluster IP when the manifest fixes it, "" when the cluster chooses."""
    template: ComponentTemplate


def registry_settings(spec: OrchestClusterSpec) -> RegistrySettings | None:
    """Parameters that cannot be used are left out here and refused by `application_notes`."""
    application = next((each for each in _applications(spec) if each.name == REGISTRY), None)
    if application is None:
        return None
    parameters = {name: value for name, value in _parameters(application).items() if _accepts(name, value)}
    template = {
        "image": _image(parameters),
        "imagePullPolicy": parameters.get("image.pullPolicy"),
        "nodeSelector": _node_selector(parameters),
    }
    storage_class = parameters.get("persistence.storageClass", "")
    return RegistrySettings(
        size=parameters.get("persistence.size", "25Gi"),
        storage_class="" if storage_class == "-" else storage_class,
        address=parameters.get("service.clusterIP", ""),
        template=ComponentTemplate.model_validate(template),
    )


def application_notes(spec: OrchestClusterSpec) -> Iterator[Note]:
    for application in _applications(spec):
        if application.name == REGISTRY:
            yield from _registry_notes(application)
            continue
        message = f"{application.name} is installed by its own Helm chart; Orchest neither installs nor changes it."
        yield Note(
            Severity.INFO, "application-by-its-own-chart", f"spec.applications[name={application.name}]", message
        )


def _applications(spec: OrchestClusterSpec) -> tuple[Application, ...]:
    return _DEFAULT_APPLICATIONS if spec.applications is None else spec.applications


def _registry_notes(application: Application) -> Iterator[Note]:
    for name, value in sorted(_parameters(application).items()):
        path = f"{REGISTRY_PATH}.config.helm.parameters[name={name}]"
        if name not in _ACCEPTED and not name.startswith(_SELECTOR_PREFIX):
            message = (
                f"The registry is no chart any more: its parameter {name!r} has no counterpart and is not used. "
                f"Remove it; what can be set is {', '.join(sorted(_ACCEPTED))} and nodeSelector.*."
            )
            yield Note(Severity.WARNING, "unused-helm-parameter", path, message)
        elif not _accepts(name, value):
            message = f"{value!r} is no valid value of {name!r}. Correct it, or remove the parameter."
            yield Note(Severity.REFUSAL, "invalid-helm-parameter", path, message)
    helm = _helm(application)
    if helm is not None and helm.values:
        message = "The registry is no chart any more: chart values are not used. Remove them."
        yield Note(Severity.WARNING, "unused-helm-values", f"{REGISTRY_PATH}.config.helm.values", message)


def _helm(application: Application) -> HelmConfig | None:
    return application.config.helm if application.config else None


def _parameters(application: Application) -> Mapping[str, str]:
    """Name -> value; an empty value is an unset parameter."""
    helm = _helm(application)
    parameters = (helm.parameters or ()) if helm else ()
    return {each.name: each.value for each in parameters if each.value}


def _accepts(name: str, value: str) -> bool:
    if name.startswith(_SELECTOR_PREFIX):
        return rules.is_label_key(_selector_key(name)) and rules.is_label_value(value)
    return name in _ACCEPTED and _ACCEPTED[name](value)


_ACCEPTED: Mapping[str, Callable[[str], bool]] = {
    "image.pullPolicy": lambda value: value in {"Always", "IfNotPresent", "Never"},
    "image.repository": lambda value: rules.is_image(f"{value}:tag"),
    "image.tag": rules.is_tag,
    "persistence.size": lambda value: not any(rules.size_problems(value)),
    "persistence.storageClass": lambda value: value == "-" or rules.is_dns_subdomain(value),
    "service.clusterIP": is_address,
}
"""The chart's parameters that still mean something, each with what it may be."""


def _image(parameters: Mapping[str, str]) -> str | None:
    if "image.repository" not in parameters and "image.tag" not in parameters:
        return None
    usual_repository, _, usual_tag = THIRD_PARTY_IMAGES[Component.DOCKER_REGISTRY].partition(":")
    return f"{parameters.get('image.repository', usual_repository)}:{parameters.get('image.tag', usual_tag)}"


def _node_selector(parameters: Mapping[str, str]) -> Mapping[str, str]:
    return {_selector_key(name): value for name, value in parameters.items() if name.startswith(_SELECTOR_PREFIX)}


def _selector_key(name: str) -> str:
    """A chart's parameter has its label's dots behind backslashes."""
    return name.removeprefix(_SELECTOR_PREFIX).replace("\\.", ".")
