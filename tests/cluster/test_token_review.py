"""ServiceAccounts as callers of the API, told apart by a real API server, under the rights that we render."""

from __future__ import annotations

import base64
import json
import logging
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from ruamel.yaml import YAML

from outbox.database import Database
from outbox.schema import migrate
from render import render
from services.api.access.gatekeeper import TokenGatekeeper
from services.api.access.service_accounts import DEFAULT_AUDIENCE, ServiceAccounts, parse_accounts
from services.api.http.operation import Scope
from services.api.http.problems import ApiError
from tests.cluster.workbench import client_of
from tests.render.cases import FACTS
from tests.render.cases import cluster as rendered_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.cluster.launcher import Cluster

KUBERNETES_ITSELF = "https://kubernetes.default.svc"
LONG_ENOUGH = 600


@dataclass(frozen=True, slots=True)
class Door:
    """The gatekeeper of an API in a namespace, and those who stand before it."""

    cluster: Cluster
    namespace: str
    gatekeeper: TokenGatekeeper

    @property
    def accounts(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/serviceaccounts"

    def add(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        self.cluster.api.post(self.accounts, body).expect(201)

    def token(self, name: str, *audiences: str) -> str:
        return token_of(self.cluster, self.namespace, name, *audiences)

    def admit(self, token: str) -> frozenset[Scope]:
        caller = self.gatekeeper.admit(f"Bearer {token}", datetime.now(UTC))
        assert caller.name.startswith(f"system:serviceaccount:{self.namespace}:")
        return caller.scopes

    def refused(self, token: str) -> ApiError:
        with pytest.raises(ApiError) as error:
            self.admit(token)
        assert token not in error.value.detail
        return error.value


def token_of(cluster: Cluster, namespace: str, name: str, *audiences: str) -> str:
    spec = {"audiences": list(audiences), "expirationSeconds": LONG_ENOUGH}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    token: str = cluster.api.post(path, body).expect(201)["status"]["token"]
    return token


def kubeconfig_of(cluster: Cluster, folder: Path, token: str) -> Path:
    """The cluster's, for the owner of the token."""
    yaml = YAML(typ="safe")
    content = yaml.load(cluster.kubeconfig.read_text())
    for entry in content["users"]:
        entry["user"] = {"token": token}
    copy = folder / "kubeconfig"
    with copy.open("w") as file:
        yaml.dump(content, file)
    return copy


def apply_rights(cluster: Cluster, namespace: str) -> None:
    """What orchest-api may ask of the API server, as we render it."""
    paths = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}
    for each in render(rendered_cluster({}, namespace=namespace), FACTS).objects:
        key = each.manifest.key
        if key.kind in paths and key.name.endswith("-orchest-api"):
            content = json.loads(json.dumps(each.manifest.content, default=dict))
            content["metadata"] = {"name": key.name}
            cluster.api.post(f"/apis/{key.group}/v1/{paths[key.kind]}", content).expect(201)


def door_of(cluster: Cluster, namespace: str, folder: Path) -> Iterator[Door]:
    own = token_of(cluster, namespace, "orchest-api", KUBERNETES_ITSELF)
    scopes = parse_accounts("", namespace)
    accounts = ServiceAccounts(client_of(kubeconfig_of(cluster, folder, own)), scopes)
    with (
        closing(Database(f"sqlite:///{folder}/state.db")) as database,
        closing(TokenGatekeeper(database, accounts)) as gatekeeper,
    ):
        migrate(database)
        yield Door(cluster, namespace, gatekeeper)


@pytest.fixture
def door_without_rights(api_only_cluster: Cluster, api_only_namespace: str, tmp_path: Path) -> Iterator[Door]:
    for name in ("orchest-api", "orchest-webserver"):
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        api_only_cluster.api.post(f"/api/v1/namespaces/{api_only_namespace}/serviceaccounts", body).expect(201)
    yield from door_of(api_only_cluster, api_only_namespace, tmp_path)


@pytest.fixture
def door(door_without_rights: Door) -> Door:
    apply_rights(door_without_rights.cluster, door_without_rights.namespace)
    return door_without_rights


def test_the_components_are_known_by_their_accounts(door: Door) -> None:
    door.add("celery-worker")
    door.add("node-agent")
    expected = {"orchest-webserver": Scope.ADMIN, "celery-worker": Scope.WRITE, "node-agent": Scope.AGENT}
    for name, scope in expected.items():
        assert eventually_admitted(door, door.token(name, DEFAULT_AUDIENCE)) == {scope}


def eventually_admitted(door: Door, token: str) -> frozenset[Scope]:
    """A new role counts once the API server's own informers have seen it."""
    until = time.monotonic() + 20
    while True:
        try:
            return door.gatekeeper.admit(f"Bearer {token}", datetime.now(UTC)).scopes
        except ApiError as error:
            if error.status != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > until:
                raise
            time.sleep(1)


def test_a_token_for_several_audiences_is_also_for_us(door: Door) -> None:
    assert eventually_admitted(door, door.token("orchest-webserver", "other", DEFAULT_AUDIENCE)) == {Scope.ADMIN}


def test_an_account_that_nobody_named_is_known_and_may_do_nothing(door: Door) -> None:
    door.add("stranger")
    assert eventually_admitted(door, door.token("stranger", DEFAULT_AUDIENCE)) == frozenset()


def test_a_token_for_another_audience_opens_nothing(door: Door) -> None:
    """Such as the one that every pod has for the API server: who steals that cannot use it here."""
    assert eventually_admitted(door, door.token("orchest-webserver", DEFAULT_AUDIENCE))
    for audience in (KUBERNETES_ITSELF, "other"):
        error = door.refused(door.token("orchest-webserver", audience))
        assert error.status == HTTPStatus.UNAUTHORIZED
        assert error.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_a_token_ends_with_its_account(door: Door) -> None:
    """As soon as the API server's own informers have seen that; a token that was admitted before counts for a while."""
    assert eventually_admitted(door, door.token("orchest-webserver", DEFAULT_AUDIENCE))
    door.add("celery-worker")
    tokens = [door.token("celery-worker", DEFAULT_AUDIENCE, f"unused-{number}") for number in range(20)]
    door.cluster.api.delete(f"{door.accounts}/celery-worker").expect(200)
    while is_admitted(door, tokens.pop()):
        time.sleep(1)
    assert door.refused(tokens.pop()).status == HTTPStatus.UNAUTHORIZED


def is_admitted(door: Door, token: str) -> bool:
    try:
        door.admit(token)
    except ApiError:
        return False
    return True


def test_an_expired_token_opens_nothing(door: Door) -> None:
    token = door.token("orchest-webserver", DEFAULT_AUDIENCE)
    assert eventually_admitted(door, resigned(door.cluster, token, timedelta(minutes=5))) == {Scope.ADMIN}
    assert door.refused(resigned(door.cluster, token, -timedelta(minutes=5))).status == HTTPStatus.UNAUTHORIZED


def test_a_forged_token_opens_nothing(door: Door) -> None:
    token = door.token("orchest-webserver", DEFAULT_AUDIENCE)
    assert eventually_admitted(door, token)
    head, claims, signature = token.split(".")
    stranger = ec.generate_private_key(ec.SECP256R1())
    for forged in (
        f"{head}.{claims}.{signature[:-8]}AAAAAAAA",
        f"{head}.{encoded(decoded(claims) | {'sub': 'x'})}.{signature}",
        f"{encoded({'alg': 'none'})}.{claims}.{signature}",
        signed(decoded(head), decoded(claims), stranger),
    ):
        assert door.refused(forged).status == HTTPStatus.UNAUTHORIZED


def test_without_the_right_to_review_nobody_can_tell_and_the_log_says_what_is_missing(
    door_without_rights: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door = door_without_rights
    token = door.token("orchest-webserver", DEFAULT_AUDIENCE)
    with caplog.at_level(logging.WARNING):
        error = door.refused(token)
    assert error.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "tokenreviews" in caplog.text
    assert token not in caplog.text


# Tokens as the API server signs them


def resigned(cluster: Cluster, token: str, lifetime: timedelta) -> str:
    """The same token with another expiry, signed by the cluster's own key."""
    file = cluster.kubeconfig.parent / "service-account.key"
    if not file.exists():
        pytest.skip(f"no {file.name} beside the kubeconfig: this cluster's tokens cannot be signed here")
    key = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    head, claims, _ = token.split(".")
    now = int(time.time())
    begun = {"iat": now - 3600, "nbf": now - 3600, "exp": now + int(lifetime.total_seconds())}
    return signed(decoded(head), decoded(claims) | begun, key)


def signed(head: dict[str, Any], claims: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> str:
    content = f"{encoded(head)}.{encoded(claims)}"
    parts = decode_dss_signature(key.sign(content.encode(), ec.ECDSA(SHA256())))
    signature = b"".join(part.to_bytes(32) for part in parts)
    return f"{content}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def encoded(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def decoded(part: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return content
