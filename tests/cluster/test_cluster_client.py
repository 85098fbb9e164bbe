"""The way to an API server, and every way in which it can be barred."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from desired_state.objects import KINDS, Kind, ObjectKey
from reconciler import errors
from reconciler.cluster_client import NODE, ClusterClient, connect
from reconciler.observe import observe_facts
from tests.cluster.workbench import MASKER, Workbench, client_of, workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dev.cluster.launcher import Cluster

TOKEN = "token-canary-51bc0d7e"
CONFIG_MAP = KINDS["", "ConfigMap"]


@pytest.fixture
def bench(cluster: Cluster, namespace: str) -> Workbench:
    return workbench(cluster, namespace)


def edited(cluster: Cluster, folder: Path, edit: Callable[[dict[str, Any]], None]) -> str:
    """A copy of the cluster's kubeconfig after `edit`."""
    yaml = YAML(typ="safe")
    content = yaml.load(cluster.kubeconfig.read_text())
    edit(content)
    copy = folder / "kubeconfig"
    with copy.open("w") as file:
        yaml.dump(content, file)
    return str(copy)


def client(kubeconfig: str, context: str | None = None) -> ClusterClient:
    return ClusterClient(connect(kubeconfig, context), MASKER)


def only_user(content: dict[str, Any], **user: Any) -> None:
    for entry in content["users"]:
        entry["user"] = user


def server(content: dict[str, Any], **settings: Any) -> None:
    for entry in content["clusters"]:
        entry["cluster"] |= settings


# Kubeconfigs


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.BadKubeconfig, match=r"missing.*--kubeconfig"):
        connect(str(tmp_path / "missing"))


def test_a_pod_without_a_service_account_token_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(errors.BadKubeconfig, match="service account of this pod"):
        connect()


def test_an_unknown_context_is_named(cluster: Cluster) -> None:
    with pytest.raises(errors.BadKubeconfig, match=r"nowhere.*get-contexts"):
        connect(str(cluster.kubeconfig), "nowhere")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "apiVersion: v1\nclusters: 3\n", "contexts:\n- name: x\n  context: 3\ncurrent-context: x"]
)
def test_a_damaged_kubeconfig_is_an_error_of_its_own(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(errors.BadKubeconfig, match=str(file)):
        connect(str(file))


def test_an_exec_plugin_brings_the_token(cluster: Cluster, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    version = "client.authentication.k8s.io/v1"
    credential = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": cluster.token}})
    plugin.write_text(f"#!/bin/sh\necho '{credential}'\n")
    plugin.chmod(0o700)
    command = {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}
    kubeconfig = edited(cluster, tmp_path, lambda content: only_user(content, exec=command))
    assert client(kubeconfig).list(NODE)


def test_a_token_file_may_end_with_a_new_line(cluster: Cluster, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{cluster.token}\n")
    kubeconfig = edited(cluster, tmp_path, lambda content: only_user(content, tokenFile=str(token)))
    assert client(kubeconfig).list(NODE)


def test_several_files_in_kubeconfig_are_merged(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(tmp_path / "missing"), str(cluster.kubeconfig)]))
    assert ClusterClient(connect(), MASKER).version()["gitVersion"].startswith("v1.")


# Answers


def test_a_wrong_token_is_unauthorised(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = edited(cluster, tmp_path, lambda content: only_user(content, token=TOKEN))
    with pytest.raises(errors.Unauthorised, match="log in again") as refusal:
        client(kubeconfig).get(ObjectKey("", "ConfigMap", "default", "x"))
    assert TOKEN not in str(refusal.value)


def test_a_user_without_rights_learns_which_right_is_missing(cluster: Cluster) -> None:
    with pytest.raises(errors.Forbidden, match='cannot list resource "nodes"'):
        client(str(cluster.kubeconfig), "unprivileged").list(NODE)
    with pytest.raises(errors.Forbidden):
        observe_facts(client(str(cluster.kubeconfig), "unprivileged"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_down_is_unreachable(cluster: Cluster, tmp_path: Path) -> None:
    port = free_port()
    kubeconfig = edited(cluster, tmp_path, lambda content: server(content, server=f"https://127.0.0.1:{port}"))
    with pytest.raises(errors.Unreachable, match=rf"127.0.0.1:{port} cannot be reached.*Connection refused"):
        client(kubeconfig).version()


def test_a_host_that_does_not_exist_is_unreachable(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = edited(cluster, tmp_path, lambda content: server(content, server="https://nowhere.invalid"))
    with pytest.raises(errors.Unreachable, match=r"nowhere\.invalid cannot be reached"):
        client(kubeconfig).version()


def test_a_certificate_of_another_authority_is_not_trusted(cluster: Cluster, tmp_path: Path) -> None:
    bundle = ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile

    def distrust(content: dict[str, Any]) -> None:
        for entry in content["clusters"]:
            entry["cluster"].pop("certificate-authority-data", None)
            entry["cluster"]["certificate-authority"] = bundle

    with pytest.raises(errors.Unreachable, match=r"certificate that we cannot trust.*certificate-authority"):
        client(edited(cluster, tmp_path, distrust)).version()


def test_a_kind_that_is_not_served_is_no_missing_object(cluster: Cluster) -> None:
    unknown = Kind("nowhere.example.com", "v1", "Thing", "things", namespaced=True)
    with pytest.raises(errors.CrdNotInstalled):
        client_of(cluster.kubeconfig).list(unknown, namespace="default")


def test_an_absent_object_and_an_absent_namespace_are_just_absent(cluster: Cluster) -> None:
    there = client_of(cluster.kubeconfig)
    assert there.get(ObjectKey("", "ConfigMap", "default", "no-such-thing")) is None
    assert there.get(ObjectKey("", "ConfigMap", "no-such-namespace", "x")) is None


# Verbs


def config(bench: Workbench, name: str = "x", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": bench.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_an_apply_tells_created_from_changed(bench: Workbench) -> None:
    assert bench.client.apply(config(bench, a="1")).created
    assert not bench.client.apply(config(bench, a="2")).created


def test_a_dry_run_writes_nothing(bench: Workbench) -> None:
    assert bench.client.apply(config(bench, a="1"), dry_run=True).created
    assert bench.client.get(bench.key("ConfigMap", "x")) is None


def test_preconditions_of_an_apply_are_the_servers(bench: Workbench) -> None:
    first = bench.client.apply(config(bench, a="1")).content["metadata"]
    bench.client.apply(config(bench, a="2"))
    with pytest.raises(errors.Modified):
        bench.client.apply(config(bench, a="3"), uid=first["uid"], resource_version=first["resourceVersion"])
    with pytest.raises(errors.UidMismatch):
        bench.client.apply(config(bench, a="3"), uid="00000000-0000-4000-8000-000000000000")
    absent = config(bench, name="absent", a="3")
    with pytest.raises(errors.UidMismatch):
        bench.client.apply(absent, uid=first["uid"], resource_version=first["resourceVersion"])


def test_preconditions_of_a_delete_are_the_servers(bench: Workbench) -> None:
    key = bench.key("ConfigMap", "x")
    first = bench.client.apply(config(bench, a="1")).content["metadata"]
    with pytest.raises(errors.UidMismatch):
        bench.client.delete(key, uid="00000000-0000-4000-8000-000000000000", resource_version=first["resourceVersion"])
    bench.client.apply(config(bench, a="2"))
    with pytest.raises(errors.Modified):
        bench.client.delete(key, uid=first["uid"], resource_version=first["resourceVersion"])
    with pytest.raises(errors.NotFound):
        bench.client.delete(bench.key("ConfigMap", "y"), uid=first["uid"], resource_version="1")


def test_a_second_create_finds_the_first(bench: Workbench) -> None:
    bench.client.create(config(bench))
    with pytest.raises(errors.AlreadyExists):
        bench.client.create(config(bench))


def test_a_misspelled_field_is_refused(bench: Workbench) -> None:
    with pytest.raises(errors.Invalid, match="immutabel"):
        bench.client.apply(config(bench) | {"immutabel": True})


def test_a_list_has_all_pages_and_whole_objects(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.cluster_client._PAGE", 3)
    for index in range(8):
        content = config(bench, name=f"c{index}")
        content["metadata"]["labels"] = {"page": "yes" if index < 7 else "no"}
        bench.client.apply(content)
    found = bench.client.list(CONFIG_MAP, namespace=bench.namespace, labels={"page": "yes"})
    assert sorted(item["metadata"]["name"] for item in found) == [f"c{index}" for index in range(7)]
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}


# A server that has a bad day


class Flaky(BaseHTTPRequestHandler):
    """Answers from a script: a status, or None to break the connection off."""

    script: list[int | None] = []  # noqa: RUF012, replaced for each test
    seen: list[str] = []  # noqa: RUF012

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.seen.append(self.command)
        status = self.script.pop(0)
        if status is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = b'{"kind":"Status","message":"busy","gitVersion":"v1"}' if status != 302 else b"<html>Log in</html>"
        self.send_response(status)
        self.send_header("retry-after", "0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PATCH = do_POST = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Silence."""


@pytest.fixture
def flaky(tmp_path: Path) -> Iterator[ClusterClient]:
    Flaky.script, Flaky.seen = [], []
    with HTTPServer(("127.0.0.1", 0), Flaky) as there:
        thread = threading.Thread(target=there.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        file = tmp_path / "kubeconfig"
        file.write_text(
            f"apiVersion: v1\nkind: Config\ncurrent-context: x\n"
            f"clusters: [{{name: x, cluster: {{server: 'http://127.0.0.1:{there.server_port}'}}}}]\n"
            f"users: [{{name: x, user: {{token: {TOKEN}}}}}]\n"
            f"contexts: [{{name: x, context: {{cluster: x, user: x}}}}]\n"
        )
        yield client(str(file))
        there.shutdown()
        thread.join()


def test_a_read_that_broke_off_is_asked_again(flaky: ClusterClient) -> None:
    Flaky.script = [None, None, 200]
    assert flaky.version()["gitVersion"] == "v1"


def test_a_write_that_broke_off_is_never_sent_again(flaky: ClusterClient) -> None:
    Flaky.script = [None, 200]
    with pytest.raises(errors.Unreachable):
        flaky.merge_patch(ObjectKey("", "ConfigMap", "default", "x"), {})
    assert Flaky.seen == ["PATCH"]


def test_a_server_that_asks_for_patience_gets_it_but_not_for_ever(flaky: ClusterClient) -> None:
    Flaky.script = [429, 429, 200]
    assert flaky.version()["gitVersion"] == "v1"
    Flaky.script = [429] * 10
    with pytest.raises(errors.Throttled, match="busy"):
        flaky.version()
    assert len(Flaky.script) == 6


def test_a_proxy_that_wants_a_login_is_not_taken_for_a_cluster(flaky: ClusterClient) -> None:
    Flaky.script = [302]
    with pytest.raises(errors.ServerFault, match="does not answer like a Kubernetes API server"):
        flaky.version()


def test_a_broken_connection_never_shows_the_token(flaky: ClusterClient) -> None:
    Flaky.script = [None] * 10
    with pytest.raises(errors.Unreachable) as refusal:
        flaky.version()
    assert TOKEN not in f"{refusal.value!r} {refusal.value.__cause__!r}"
