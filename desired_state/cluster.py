"""The `OrchestCluster` as frozen models: what a user may write, and nothing that a program fills in.

Unset stays unset (`None`): defaults are the release's business and are applied when rendering, never here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class ComponentTemplate(_Model):
    """One component's own settings. Core types are JSON as Kubernetes spells it, checked by the CRD's sub-schemas."""

    image: str | None = None
    env: tuple[Mapping[str, Any], ...] | None = None
    node_selector: Mapping[str, str] | None = None
    state_volume_name: str | None = None
    replicas: int | None = None
    resources: Mapping[str, Any] | None = None
    tolerations: tuple[Mapping[str, Any], ...] | None = None
    affinity: Mapping[str, Any] | None = None
    image_pull_secrets: tuple[Mapping[str, Any], ...] | None = None
    image_pull_policy: str | None = None


class HelmParameter(_Model):
    name: str
    value: str | None = None
    force_string: bool | None = None


class HelmConfig(_Model):
    parameters: tuple[HelmParameter, ...] | None = None
    values: tuple[str, ...] | None = None
    release_name: str | None = None


class ApplicationConfig(_Model):
    helm: HelmConfig | None = None


class Application(_Model):
    name: str
    needs: tuple[str, ...] | None = None
    config: ApplicationConfig | None = None


class Volume(_Model):
    volume_size: str | None = None
    mount_path: str | None = None
    storage_class: str | None = None


class OrchestResources(_Model):
    user_dir_volume_size: str | None = None
    orchest_state_volume_size: str | None = None
    separate_orchest_state_from_user_dir: bool | None = None
    user_dir_volume: Volume | None = None
    orchest_state_volume: Volume | None = None
    config_dir_volume_size: str | None = None


class Orchest(_Model):
    pause: bool | None = None
    orchest_host: str | None = None
    registry: str | None = None
    version: str | None = None
    env: tuple[Mapping[str, Any], ...] | None = None
    resources: OrchestResources | None = None
    orchest_api: ComponentTemplate | None = None
    orchest_web_server: ComponentTemplate | None = None
    celery_worker: ComponentTemplate | None = None
    auth_server: ComponentTemplate | None = None
    node_agent: ComponentTemplate | None = None
    buildkit_daemon: ComponentTemplate | None = None


class OrchestClusterSpec(_Model):
    single_node: bool | None = None
    control_node_selector: Mapping[str, str] | None = None
    worker_node_selector: Mapping[str, str] | None = None
    postgres: ComponentTemplate | None = None
    rabbit_mq: ComponentTemplate | None = None
    applications: tuple[Application, ...] | None = None
    orchest: Orchest | None = None


class OrchestCluster(_Model):
    """One cluster as Git has it. `document` is the manifest as it was written (JSON), for the CR that apply sends."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: OrchestClusterSpec
    document: Mapping[str, Any]
