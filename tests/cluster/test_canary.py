"""A canary stands wherever a secret can stand, and everything that `orchest` says or keeps is searched for it.

One story is told twice in two namespaces: as it is, and with masking replaced by identity. The second telling proves
that the search would find each canary, and that each kind of output could have shown one.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from desired_state.masking import Masker
from desired_state.objects import GROUP
from dev.cluster.api import MERGE_PATCH
from outbox.database import Database
from reconciler import git
from reconciler.cluster_client import ClusterClient, connect
from reconciler.errors import Invalid
from tests.cluster.admission import denied
from tests.cluster.workbench import facts_of
from tests.command_line import orchest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.cluster.launcher import Cluster

VARIABLE, POD_VARIABLE = "DENIED_TOKEN", "DENIED_POD_TOKEN"
MANIFEST_PLACES = (
    "environment of everything",
    "environment of a component",
    "userinfo of a URL in the environment",
    "parameter of a chart",
    "values of a chart",
    "userinfo of a URL in a chart parameter",
)
SERVER_PLACES = (
    "data of a generated Secret",
    "a Secret edited by hand",
    "an environment variable changed by hand",
    "an environment variable added by hand",
    "last-applied annotation of an object",
    "last-applied annotation of the cluster",
    "the cluster's spec changed by hand",
)
ERROR_PLACES = (
    "a server's refusal that repeats what was sent",
    "a controller's message that repeats what was sent",
    "a server's complaint about a wrong type",
    "userinfo of a Git URL",
    "password of the database URL",
    "userinfo of the server's URL",
)
OUTPUTS = (
    "render",
    "plan",
    "plan -o json",
    "plan -o yaml",
    "plan --out",
    "diff",
    "diff -o json",
    "failed apply for its pods",
    "failed apply",
    "repairing apply",
    "snapshot save",
    "snapshot show -o json",
    "snapshot diff",
    "history show",
    "history database",
    "status -o json",
    "errors",
)
"""What could show a canary. `history`, and what an apply says of success, could not; they are searched all the same."""


@dataclass
class Telling:
    """One run of the story: what stood where, and what was said."""

    folder: Path
    cluster: Cluster
    namespace: str
    said: dict[str, list[str]] = field(default_factory=dict)
    canaries: dict[str, list[str]] = field(default_factory=dict)

    @cached_property
    def history(self) -> Path:
        return self.folder / "state" / "orchest" / "history.db"

    def canary(self, place: str) -> str:
        """A secret that does not stay the same in a URL. Only its core is searched for."""
        core = uuid4().hex[:20]
        self.canaries.setdefault(place, []).append(core)
        return f"s/{core}+&"

    def orchest(self, *arguments: str | Path, told_as: str, code: int = 0) -> None:
        result = orchest(*arguments)
        assert result.code == code, (arguments, result)
        self.say(told_as, result.out)
        self.say(told_as, result.err)

    def say(self, output: str, text: str) -> None:
        self.said.setdefault(output, []).append(text)

    def leaks(self) -> set[tuple[str, str]]:
        """(place, output) of every canary that was found."""
        return {
            (place, output)
            for output, texts in self.said.items()
            for place, cores in self.canaries.items()
            if any(form in text for text in texts for core in cores for form in forms_of(core))
        }

    def path(self, group: str, plural: str, name: str) -> str:
        root = f"/apis/{group}" if group else "/api/v1"
        return f"{root}/namespaces/{self.namespace}/{plural}/{name}"


def forms_of(core: str) -> set[str]:
    """Plain (alphanumeric, so URLs and JSON leave it alone), and base64 wherever it stands in what was encoded."""
    forms = {core}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + core.encode()).decode()
        forms.add(encoded[(before * 8 + 5) // 6 : (before + len(core)) * 8 // 6])
    return forms


def test_the_search_finds_every_form() -> None:
    core = "0123456789abcdef0123"
    for before in range(5):
        encoded = base64.b64encode(b"x" * before + core.encode() + b"rest").decode()
        assert any(form in encoded for form in forms_of(core))
    assert not any(form in base64.b64encode(b"0123456789abcdef9999").decode() for form in forms_of(core))


# --- the story -------------------------------------------------------------------------------------------------------


def manifest(telling: Telling, *, denied: str = "", denied_to_pods: str = "") -> str:
    """What is denied stands in variables that admission policies refuse, quoting their values."""
    placed = {place: telling.canary(place) for place in MANIFEST_PLACES}
    proxy = placed["userinfo of a URL in a chart parameter"].replace("/", "")
    parameters = [
        {"name": "auth.adminPassword", "value": placed["parameter of a chart"]},
        {"name": "proxy", "value": f"http://me:{proxy}@proxy.example.com"},
    ]
    url = f"redis://me:{placed['userinfo of a URL in the environment'].replace('/', '')}@cache.example.com/0"
    return json.dumps(
        {
            "apiVersion": "orchest.io/v1alpha1",
            "kind": "OrchestCluster",
            "metadata": {
                "name": "c",
                "namespace": telling.namespace,
            },
            "spec": {
                "singleNode": True,
                "orchest": {
                    "env": [
                        {"name": "SMTP_PASSWORD", "value": placed["environment of everything"]},
                        {"name": "CACHE", "value": url},
                    ],
                    "orchestApi": {
                        "env": [
                            {"name": "GITHUB_TOKEN", "value": placed["environment of a component"]},
                            *([{"name": VARIABLE, "value": denied}] if denied else []),
                        ]
                    },
                },
                "rabbitMq": {"env": [{"name": POD_VARIABLE, "value": denied_to_pods}] if denied_to_pods else []},
                "applications": [
                    {
                        "name": "argo-workflow",
                        "config": {
                            "helm": {"parameters": parameters, "values": [f"token: {placed['values of a chart']}\n"]}
                        },
                    }
                ],
            },
        }
    )


def tell(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(telling.cluster.kubeconfig))
    monkeypatch.setenv("XDG_STATE_HOME", str(telling.folder / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(telling.folder / "cache"))
    telling.canaries["token of the kubeconfig"] = [str(telling.cluster.token)]
    _fresh(telling)
    _in_force(telling)
    _edited_by_hand(telling)
    _errors(telling, monkeypatch)
    _kept(telling)


def _fresh(telling: Telling) -> None:
    """Before anything is there, then applies that fail in their middle."""
    file, target = telling.folder / "cluster.yaml", ("-n", telling.namespace, "-c", "c")
    telling.orchest("snapshot", "save", telling.folder / "before.json", *target, told_as="snapshot save")
    place = "a controller's message that repeats what was sent"
    file.write_text(manifest(telling, denied_to_pods=telling.canary(place)))
    telling.orchest("apply", "-f", file, "--yes", "--timeout", "2", told_as="failed apply for its pods", code=1)
    telling.orchest("status", *target, "-o", "json", told_as="status -o json")
    file.write_text(manifest(telling, denied=telling.canary("a server's refusal that repeats what was sent")))
    telling.orchest("apply", "-f", file, "--yes", told_as="failed apply", code=1)
    telling.orchest("status", *target, "-o", "json", told_as="status -o json")
    telling.orchest("status", *target, told_as="status")
    file.write_text(manifest(telling))
    for output in ("yaml", "json"):
        telling.orchest("render", "-f", file, "-o", output, told_as="render")
    telling.orchest("plan", "-f", file, told_as="plan")
    telling.orchest("plan", "-f", file, "-o", "yaml", told_as="plan -o yaml")
    telling.orchest("plan", "-f", file, "-o", "json", told_as="plan -o json")


def _in_force(telling: Telling) -> None:
    file = telling.folder / "cluster.yaml"
    telling.orchest("apply", "-f", file, "--yes", "-o", "json", told_as="apply")
    secrets = telling.cluster.api.get(f"/api/v1/namespaces/{telling.namespace}/secrets").expect(200)["items"]
    values = [base64.b64decode(value).decode() for secret in secrets for value in (secret.get("data") or {}).values()]
    keys = [line for value in values for line in (value.splitlines() or [value]) if len(line) > 12]
    telling.canaries["data of a generated Secret"] = [line for line in keys if not line.startswith("-----")]
    assert telling.canaries["data of a generated Secret"]


def _edited_by_hand(telling: Telling) -> None:
    """`kubectl edit` in every place where that brings a secret into our view; then all is shown and repaired."""
    file, target = telling.folder / "cluster.yaml", ("-n", telling.namespace, "-c", "c")
    _edit(telling)
    telling.orchest("plan", "-f", file, told_as="plan")
    telling.orchest("plan", "-f", file, "-o", "yaml", told_as="plan -o yaml")
    telling.orchest("plan", "-f", file, "-o", "json", told_as="plan -o json")
    telling.orchest("plan", "-f", file, "--out", telling.folder / "plan.json", told_as="plan")
    telling.say("plan --out", (telling.folder / "plan.json").read_text())
    telling.orchest("diff", "-f", file, told_as="diff")
    telling.orchest("diff", "-f", file, "-o", "json", told_as="diff -o json")
    telling.orchest("snapshot", "save", telling.folder / "after.json", *target, told_as="snapshot save")
    telling.say("snapshot save", (telling.folder / "after.json").read_text())
    telling.orchest("apply", "-f", file, "--yes", told_as="repairing apply")
    telling.orchest("plan", "-f", file, "--snapshot", telling.folder / "after.json", told_as="plan")


def _edit(telling: Telling) -> None:
    def edit(path: str, patch: dict[str, Any]) -> None:
        media_type = MERGE_PATCH if GROUP in path else "application/strategic-merge-patch+json"
        telling.cluster.api.patch(path, patch, media_type, fieldManager="kubectl-edit").expect(200)

    api = telling.path("apps/v1", "deployments", "orchest-api")
    variables = [
        {"name": "SMTP_PASSWORD", "value": telling.canary("an environment variable changed by hand")},
        {"name": "HAND_PASSWORD", "value": telling.canary("an environment variable added by hand")},
    ]
    [container] = telling.cluster.api.get(api).expect(200)["spec"]["template"]["spec"]["containers"]
    containers = [{"name": container["name"], "env": variables}]
    edit(api, {"spec": {"template": {"spec": {"containers": containers}}}})
    data = base64.b64encode(telling.canary("a Secret edited by hand").encode()).decode()
    [name, *_] = _secrets(telling)
    edit(telling.path("", "secrets", name), {"data": {"hand": data}})
    last_applied = json.dumps({"data": {"password": telling.canary("last-applied annotation of an object")}})
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": last_applied}
    edit(telling.path("", "services", "orchest-api"), {"metadata": {"annotations": annotations}})
    variable = {"name": "PASSWORD", "value": telling.canary("last-applied annotation of the cluster")}
    last_applied = json.dumps({"spec": {"orchest": {"env": [variable]}}})
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": last_applied}
    owner = telling.path(f"{GROUP}/v1alpha1", "orchestclusters", "c")
    env = [{"name": "SMTP_PASSWORD", "value": telling.canary("the cluster's spec changed by hand")}]
    edit(owner, {"metadata": {"annotations": annotations}, "spec": {"orchest": {"env": env}}})


def _secrets(telling: Telling) -> list[str]:
    secrets = telling.cluster.api.get(f"/api/v1/namespaces/{telling.namespace}/secrets").expect(200)["items"]
    return [secret["metadata"]["name"] for secret in secrets]


def _errors(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    password = telling.canary("userinfo of a Git URL").replace("/", "")
    url = f"https://me:{password}@127.0.0.1:9/repository.git"
    telling.orchest("plan", "--git", url, told_as="errors", code=1)
    with monkeypatch.context() as local:
        password = telling.canary("password of the database URL").replace("/", "")
        local.setenv("ORCHEST_DATABASE_URL", f"postgresql://me:{password}@127.0.0.1:9/d")
        telling.orchest("history", told_as="errors", code=1)
    kubeconfig = telling.folder / "kubeconfig"
    password = telling.canary("userinfo of the server's URL").replace("/", "")
    server = telling.cluster.server.replace("https://", f"https://me:{password}@").rpartition(":")[0] + ":9"
    kubeconfig.write_text(telling.cluster.kubeconfig.read_text().replace(telling.cluster.server, server))
    telling.orchest("status", "--kubeconfig", kubeconfig, told_as="errors", code=1)
    telling.say("errors", _complaint_about_a_wrong_type(telling))


def _complaint_about_a_wrong_type(telling: Telling) -> str:
    """No manifest of ours gets so far: what is sent here is what a defect of ours would send."""
    client = ClusterClient(connect(str(telling.cluster.kubeconfig)), Masker(b"0123456789abcdef"))
    secret = telling.canary("a server's complaint about a wrong type")
    container = {"name": "main", "image": "x", "env": [{"name": "API_TOKEN", "value": [secret]}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    metadata = {"name": "wrong", "namespace": telling.namespace}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    with pytest.raises(Invalid) as caught:
        client.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    return str(caught.value)


def _kept(telling: Telling) -> None:
    """What is left behind, and shown again later."""
    telling.orchest("history", told_as="history")
    telling.orchest("history", "-o", "json", told_as="history")
    with closing(sqlite3.connect(telling.history)) as database:
        cycles = [row[0] for row in database.execute("SELECT id FROM cycles ORDER BY started_at")]
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f"SELECT * FROM {table}"):
                telling.say("history database", str(row))
        for (content,) in database.execute("SELECT compressed FROM contents"):
            telling.say("history database", zlib.decompress(content).decode())
    assert len(cycles) == 4
    for cycle in cycles:
        telling.orchest("history", cycle, told_as="history show")
        telling.orchest("history", cycle, "-o", "json", told_as="history show")
        telling.orchest("snapshot", "show", cycle, "-o", "json", told_as="snapshot show -o json")
        telling.orchest("snapshot", "show", cycle, told_as="snapshot show")
        telling.orchest("snapshot", "diff", f"{cycle}^", cycle, told_as="snapshot diff")
        telling.orchest("snapshot", "diff", f"{cycle}^", cycle, "-o", "json", told_as="snapshot diff")
    before, after = telling.folder / "before.json", telling.folder / "after.json"
    telling.orchest("snapshot", "diff", before, after, told_as="snapshot diff")
    for path in sorted((telling.folder / "state").rglob("*")):
        if path.is_file():
            telling.say("files of the user's state", path.read_bytes().decode("latin-1"))


# --- both tellings ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def denied_namespaces(cluster: Cluster) -> Iterator[list[str]]:
    """Two namespaces in which the server refuses two variables, not in a dry-run, and quotes their values."""
    facts_of(cluster.kubeconfig)
    names = [f"canary-{uuid4().hex[:12]}" for _ in range(2)]
    for name in names:
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        cluster.api.post("/api/v1/namespaces", body).expect(201)
    with denied(cluster, names, VARIABLE, "deployments"), denied(cluster, names, POD_VARIABLE, "pods"):
        yield names
    for name in names:
        cluster.api.delete(f"/api/v1/namespaces/{name}").expect(200, 202)


@pytest.fixture(scope="module")
def told(cluster: Cluster, denied_namespaces: list[str], tmp_path_factory: pytest.TempPathFactory) -> Telling:
    telling = Telling(tmp_path_factory.mktemp("masked"), cluster, denied_namespaces[0])
    with pytest.MonkeyPatch.context() as monkeypatch:
        tell(telling, monkeypatch)
    return telling


@pytest.fixture(scope="module")
def told_unmasked(cluster: Cluster, denied_namespaces: list[str], tmp_path_factory: pytest.TempPathFactory) -> Telling:
    telling = Telling(tmp_path_factory.mktemp("unmasked"), cluster, denied_namespaces[1])
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Masker, "mask", lambda _self, value: value)
        monkeypatch.setattr(Masker, "scrub", lambda _self, text, _secrets=(): text)
        monkeypatch.setattr(git, "parse_address", lambda location: git.Address(location, "", ""))
        monkeypatch.setattr(Database, "place", property(lambda self: self.url.render_as_string(hide_password=False)))
        tell(telling, monkeypatch)
    return telling


PLACES = (*MANIFEST_PLACES, *SERVER_PLACES, *ERROR_PLACES)


def test_every_place_was_planted(told: Telling, told_unmasked: Telling) -> None:
    for telling in (told, told_unmasked):
        assert telling.canaries.keys() == {*PLACES, "token of the kubeconfig"}
        assert telling.said.keys() >= set(OUTPUTS)


def test_no_canary_leaves(told: Telling) -> None:
    assert told.leaks() == set()


@pytest.mark.parametrize("place", PLACES)
def test_without_masking_each_canary_would_leave(place: str, told_unmasked: Telling) -> None:
    assert place in {found for found, _ in told_unmasked.leaks()}


@pytest.mark.parametrize("output", OUTPUTS)
def test_without_masking_each_output_would_show_one(output: str, told_unmasked: Telling) -> None:
    assert output in {found for _, found in told_unmasked.leaks()}


def test_the_token_of_the_kubeconfig_is_never_shown(told_unmasked: Telling) -> None:
    """Nothing masks it: it is never in our hands where something is said."""
    assert not [output for place, output in told_unmasked.leaks() if place == "token of the kubeconfig"]
