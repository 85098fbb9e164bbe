"""A manifest becomes a cluster, or every problem in it is told with its line and its mend."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from desired_state.document import load_clusters
from desired_state.errors import DesiredStateError

if TYPE_CHECKING:
    from desired_state.cluster import OrchestCluster

HEAD = """apiVersion: orchest.io/v1alpha1
kind: OrchestCluster
metadata:
  name: cluster-1
"""
MINIMAL = HEAD + "spec:\n  singleNode: true\n"


def load(text: str, *, namespace: str = "") -> OrchestCluster:
    (cluster,) = load_clusters([("orchestcluster.yaml", text)], namespace=namespace)
    return cluster


def problems(*texts: str) -> list[str]:
    """The lines that a user would see for files a.yaml, b.yaml ..."""
    with pytest.raises(DesiredStateError) as error:
        load_clusters([(f"{chr(ord('a') + index)}.yaml", text) for index, text in enumerate(texts)])
    assert str(error.value) == "\n".join(map(str, error.value.problems))
    return str(error.value).splitlines()


def problem(text: str) -> str:
    (line,) = problems(text)
    return line


# --- what is read ----------------------------------------------------------------------------------------------------


def test_a_cluster_keeps_what_was_written_and_nothing_else() -> None:
    cluster = load(
        HEAD
        + """  namespace: data
  labels: {team: ml}
  annotations:
    orchest.io/drift: observe
spec:
  singleNode: false
  postgres:
    env:
      - {name: PGDATA, value: /data}
  orchest:
    version: v2022.10.1
    registry: ""
"""
    )

    assert (cluster.namespace, cluster.name) == ("data", "cluster-1")
    assert cluster.labels == {"team": "ml"}
    assert cluster.annotations == {"orchest.io/drift": "observe"}
    assert cluster.spec.single_node is False
    assert cluster.document == {
        "apiVersion": "orchest.io/v1alpha1",
        "kind": "OrchestCluster",
        "metadata": {
            "name": "cluster-1",
            "namespace": "data",
            "labels": {"team": "ml"},
            "annotations": {"orchest.io/drift": "observe"},
        },
        "spec": {
            "singleNode": False,
            "postgres": {"env": [{"name": "PGDATA", "value": "/data"}]},
            "orchest": {"version": "v2022.10.1", "registry": ""},
        },
    }


def test_the_namespace_is_the_manifests_then_the_callers_then_orchest() -> None:
    assert load(MINIMAL).namespace == "orchest"
    assert load(MINIMAL, namespace="data").namespace == "data"
    assert load(MINIMAL, namespace="data").document["metadata"]["namespace"] == "data"
    assert load(MINIMAL.replace("name: c", "namespace: own\n  name: c"), namespace="data").namespace == "own"


@pytest.mark.parametrize("spec", ["", "spec:\n", "spec: {}\n", "spec: null\n", "spec:\n  orchest: null\n"])
def test_a_cluster_without_wishes_is_a_cluster(spec: str) -> None:
    assert load(HEAD + spec).document["spec"] == {}


def test_an_export_by_kubectl_is_read_without_what_the_server_added() -> None:
    cluster = load(
        HEAD
        + """  annotations:
    controller.orchest.io/k8s: ""
    kubectl.kubernetes.io/last-applied-configuration: '{"spec": {}}'
  creationTimestamp: "2022-10-01T00:00:00Z"
  finalizers: [controller.orchest.io]
  generation: 3
  managedFields: [{manager: x}]
  resourceVersion: "77"
  uid: 3f0c
spec:
  singleNode: true
status:
  state: Running
"""
    )

    assert set(cluster.document) == {"apiVersion", "kind", "metadata", "spec"}
    assert cluster.document["metadata"] == {
        "name": "cluster-1",
        "namespace": "orchest",
        "annotations": {"controller.orchest.io/k8s": ""},
    }
    assert cluster.annotations == {"controller.orchest.io/k8s": ""}


def test_json_is_read_like_yaml_tabs_escapes_and_all() -> None:
    manifest = {
        "apiVersion": "orchest.io/v1alpha1",
        "kind": "OrchestCluster",
        "metadata": {"name": "c", "annotations": {"note": 'tab\t / é 😀 " \\ \n'}},
        "spec": {"orchest": {"pause": True, "orchestApi": {"replicas": 2}}},
    }
    for text in (json.dumps(manifest), json.dumps(manifest, indent="\t"), json.dumps(manifest, ensure_ascii=False)):
        cluster = load(text)
        assert cluster.annotations == manifest["metadata"]["annotations"]  # type: ignore[index]
        assert cluster.document["spec"] == manifest["spec"]


def test_several_documents_lists_and_empty_ones_are_read_in_order() -> None:
    item = '{"apiVersion": "orchest.io/v1alpha1", "kind": "OrchestCluster", "metadata": {"name": "%s"}, "spec": {}}'
    listed = f'{{"apiVersion": "v1", "kind": "List", "items": [{item % "c"}, {item % "d"}]}}'
    texts = [("a.yaml", f"# a comment\n---\n---\n{MINIMAL}---\n"), ("b.json", listed), ("empty.yaml", "")]

    assert [cluster.name for cluster in load_clusters(texts)] == ["cluster-1", "c", "d"]


def test_anchors_aliases_and_merges_are_read() -> None:
    cluster = load(
        HEAD
        + """spec:
  postgres: &template
    env: &env [{name: TZ, value: UTC}]
    nodeSelector: {disk: ssd}
  orchest:
    env: *env
    orchestApi:
      <<: *template
      nodeSelector: {disk: hdd}
"""
    )

    assert cluster.document["spec"]["orchest"] == {
        "env": [{"name": "TZ", "value": "UTC"}],
        "orchestApi": {"env": [{"name": "TZ", "value": "UTC"}], "nodeSelector": {"disk": "hdd"}},
    }


@pytest.mark.parametrize(
    "text", ["yes", "on", "no", "2022-10-01", "12:30", "1_000", "0b1", "'2022.10'", "!!str 2022.10"]
)
def test_words_that_are_types_elsewhere_are_strings(text: str) -> None:
    cluster = load(HEAD + f"spec:\n  orchest:\n    env:\n      - name: A\n        value: {text}\n")

    assert cluster.document["spec"]["orchest"]["env"][0]["value"] == text.removeprefix("!!str ").strip("'")


def test_a_spec_into_which_the_original_wrote_its_defaults_is_read_as_it_is() -> None:
    spec = """  singleNode: true
  postgres:
    image: postgres:13.1
    env:
    - {name: PGDATA, value: /userdir/.orchest/database/data}
    - {name: POSTGRES_HOST_AUTH_METHOD, value: trust}
  rabbitMq: {image: rabbitmq:3}
  applications:
  - name: argo-workflow
    config: {helm: {parameters: [{name: singleNamespace, value: "true"}]}}
  - name: docker-registry
    config: {helm: {}}
  orchest:
    registry: ""
    version: v2022.10.1
    pause: false
    env:
    - {name: PYTHONUNBUFFERED, value: "TRUE"}
    - {name: ORCHEST_HOST_GID, value: "1"}
    - {name: CONTAINER_RUNTIME_IMAGE, value: docker.io/orchest/image-puller:v2022.10.1}
    resources: {userDirVolumeSize: 50Gi, orchestStateVolumeSize: 5Gi, separateOrchestStateFromUserDir: false}
    orchestApi:
      image: orchest/orchest-api:v2022.10.1
      env: [{name: FLASK_ENV, value: production}, {name: SINGLE_NODE, value: "TRUE"}]
    nodeAgent: {image: orchest/node-agent:v2022.10.1}
"""
    cluster = load(HEAD + "spec:\n" + spec)

    assert cluster.document["spec"]["orchest"]["registry"] == ""
    assert cluster.document["spec"]["orchest"]["orchestApi"]["image"] == "orchest/orchest-api:v2022.10.1"
    assert cluster.spec.orchest is not None
    assert cluster.spec.orchest.registry is None


# --- what is wrong with a field --------------------------------------------------------------------------------------

SPEC = [
    (
        "  orchest:\n    versoin: v1\n",
        'a.yaml:7: spec.orchest.versoin: unknown field, did you mean "version"?',
    ),
    (
        "  rabbitmq: {}\n",
        'a.yaml:6: spec.rabbitmq: unknown field, did you mean "rabbitMq"?',
    ),
    (
        "  version: v2022.10.1\n",
        "a.yaml:6: spec.version: unknown field; it belongs at spec.orchest.version",
    ),
    (
        "  orchest:\n    version: 2022.10\n",
        'a.yaml:7: spec.orchest.version: found the number 2022.10, expected a string; quote it: "2022.10"',
    ),
    (
        "  orchest:\n    env:\n      - name: A\n        value: true\n",
        'a.yaml:9: spec.orchest.env[0].value: found the boolean true, expected a string; quote it: "true"',
    ),
    (
        "  singleNode: yes\n",
        'a.yaml:6: spec.singleNode: found "yes", expected true or false; write true without quotes',
    ),
    (
        '  singleNode: "false"\n',
        'a.yaml:6: spec.singleNode: found "false", expected true or false; write false without quotes',
    ),
    (
        '  orchest:\n    orchestApi:\n      replicas: "2"\n',
        'a.yaml:8: spec.orchest.orchestApi.replicas: found "2", expected a whole number; write 2 without quotes',
    ),
    (
        "  orchest: [a]\n",
        "a.yaml:6: spec.orchest: found a list, expected a mapping",
    ),
    (
        "  applications:\n    - name: docker-registri\n",
        (
            'a.yaml:7: spec.applications[0].name: found "docker-registri", expected argo-workflow, docker-registry, '
            'efs-csi-driver or ingress-nginx, did you mean "docker-registry"?'
        ),
    ),
    (
        "  applications:\n    - needs: []\n",
        "a.yaml:7: spec.applications[0].name: is missing; add it",
    ),
    (
        "  orchest:\n    orchestApi:\n      image: quay.io/Team/api\n",
        'a.yaml:8: spec.orchest.orchestApi.image: image "quay.io/Team/api": a repository is lower case: write "team"',
    ),
    (
        "  orchest:\n    orchestApi:\n      imagePullPolicy: always\n",
        (
            'a.yaml:8: spec.orchest.orchestApi.imagePullPolicy: found "always", '
            'expected Always, IfNotPresent or Never, did you mean "Always"?'
        ),
    ),
    (
        "  orchest:\n    resources:\n      userDirVolumeSize: 010\n",
        (
            "a.yaml:8: spec.orchest.resources.userDirVolumeSize: 010 has a leading zero: some tools read it as octal, "
            'others as decimal; write the number without it, or quote it: "010"'
        ),
    ),
    (
        "  orchest:\n    orchestApi:\n      replicas: .inf\n",
        (
            "a.yaml:8: spec.orchest.orchestApi.replicas: .inf is not a number that JSON knows; "
            'write a number, or quote it: ".inf"'
        ),
    ),
]


@pytest.mark.parametrize(("spec", "expected"), SPEC)
def test_a_wrong_field_is_told_with_its_line_and_the_mend(spec: str, expected: str) -> None:
    assert expected in problems(HEAD + "spec:\n" + spec)


def test_all_problems_of_all_files_come_together_in_the_order_of_files_and_lines() -> None:
    told = problems(
        MINIMAL.replace("singleNode: true", "singleNode: 1\n  a: 1\n  orchest: {pause: 2, pause: true}"),
        "a: [",
        MINIMAL.replace("cluster-1", "Cluster_1"),
    )

    assert [line.split(" ")[0] for line in told] == [
        "a.yaml:6:",
        "a.yaml:7:",
        "a.yaml:8:",
        "a.yaml:8:",
        "b.yaml:1:",
        "c.yaml:4:",
    ]


def test_a_problem_is_data_too() -> None:
    with pytest.raises(DesiredStateError) as error:
        load_clusters([("a.yaml", HEAD + "spec: {singleNode: maybe}\n")])
    (told,) = error.value.problems

    assert (told.file, told.line, told.column, told.path) == ("a.yaml", 5, 8, "spec.singleNode")
    assert (told.found, told.expected) == ('"maybe"', "true or false")


# --- what is no YAML, or no manifest ---------------------------------------------------------------------------------

SYNTAX = [
    ("a:\n\t- b\n", "a.yaml:2: not YAML: a tab cannot indent in YAML; use spaces"),
    ("a: b: c\n", 'a.yaml:1: not YAML: a second ":" in one value'),
    (
        "a: 1\nb: [1,\n2\nc: 3\n",
        "a.yaml:4: not YAML: a bracket is never closed, or a comma is missing: it opens in line 2",
    ),
    ("a: 'x\nb: 2\n", "not YAML: a quote is never closed: it opens in line 1; close it"),
    ("a: 1\n  b: 2\n", 'a.yaml:2: not YAML: a second ":" in one value, or a line that is indented too far'),
    ("a:\n  - b\n c: 1\n", "a.yaml:3: not YAML: this line does not fit the indentation of the lines above"),
    ("a: @b\n", "a.yaml:1: not YAML: a value cannot begin with this character; quote the value"),
    ('a: "\\q"\n', "a.yaml:1: not YAML: an unknown escape in double quotes"),
    ("a: 1\nb: \x01\n", "a.yaml:2: not YAML: the control character U+0001"),
    ("a: 1\nb: *c\n", "a.yaml:2: alias *c has no anchor before it"),
    ("a: &a [*a]\n", "a.yaml:1: alias *a stands inside its own anchor"),
    ("a: !!binary aGk=\n", "a.yaml:1: the tag !!binary does not fit here; remove it"),
    ("? [a]\n: b\n", "a.yaml:1: a mapping or list as a key"),
    ("<<: 3\n", 'a.yaml:1: "<<" merges something that is not a mapping'),
    ('{"a": "\\ud83d"}', "a.yaml:1: half of an escaped character"),
    (
        "a: {b: 1, c: 2, b: 3}\nkind: OrchestCluster\n",
        'a.yaml:1: a.b: key "b" stands twice, first in line 1; remove one',
    ),
]


@pytest.mark.parametrize(("text", "expected"), SYNTAX)
def test_text_that_cannot_be_read_is_told_with_its_line_and_the_mend(text: str, expected: str) -> None:
    assert any(expected in line for line in problems(text)), problems(text)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{a: " * 10_000, "- " * 5_000 + "a", "a:\n" + "".join(" " * n + "a:\n" for n in range(1, 300))],
)
def test_a_tower_of_brackets_is_refused_and_not_climbed(text: str) -> None:
    assert "nested more than 100 levels" in problems(text)[0]


def test_an_alias_bomb_is_refused_and_not_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 50)]

    assert "aliases expand to more than a manifest can hold" in problems("\n".join(lines))[0]


def test_a_chain_of_aliases_is_refused_and_not_climbed() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000)]

    assert "aliases expand to more than a manifest can hold" in problems("\n".join(lines))[0]


FRAME = [
    ("- a\n", "a.yaml:1: found a list, expected the manifest of an OrchestCluster"),
    ("hello\n", 'a.yaml:1: found "hello", expected the manifest of an OrchestCluster'),
    (
        "apiVersion: v1\nkind: ConfigMap\n",
        'a.yaml:2: kind: found "ConfigMap", expected OrchestCluster; keep only OrchestCluster manifests',
    ),
    ("kind: OrchestClutser\n", 'a.yaml:1: kind: unknown kind "OrchestClutser", did you mean "OrchestCluster"?'),
    ("kind: orchestcluster\n", 'a.yaml:1: kind: unknown kind "orchestcluster", did you mean "OrchestCluster"?'),
    ("kind: OrchestComponent\n", 'a.yaml:1: kind: found "OrchestComponent", expected OrchestCluster; keep only'),
    ("Kind: OrchestCluster\n", 'a.yaml:1: kind: is missing; rename "Kind"'),
    ("resources: [a.yaml]\n", "a.yaml:1: kind: is missing; write kind: OrchestCluster, and keep other files out"),
    (
        MINIMAL.replace("v1alpha1", "v1"),
        'a.yaml:1: apiVersion: unknown apiVersion "orchest.io/v1", did you mean "orchest.io/v1alpha1"?',
    ),
    (
        MINIMAL.removeprefix("apiVersion: orchest.io/v1alpha1\n"),
        "a.yaml:1: apiVersion: is missing; write apiVersion: o",
    ),
    (MINIMAL + "specs: {}\n", 'a.yaml:7: specs: unknown field, did you mean "spec"?'),
    (MINIMAL.replace("metadata:\n  name: cluster-1\n", ""), "a.yaml:1: metadata: found null, expected a mapping"),
    ("", "a.yaml: holds no OrchestCluster; add a manifest with apiVersion orchest.io/v1alpha1 and kind OrchestCluster"),
    ("# nothing\n---\n", "a.yaml: holds no OrchestCluster; add"),
]


@pytest.mark.parametrize(("text", "expected"), FRAME)
def test_a_document_that_is_no_cluster_is_told_with_the_mend(text: str, expected: str) -> None:
    assert problem(text).startswith(expected)


def test_a_foreign_manifest_beside_a_cluster_is_told_too() -> None:
    assert problem(MINIMAL + "---\nkind: ConfigMap\n").startswith("a.yaml:8: kind: found")


def test_nothing_at_all_and_only_empty_files_are_told() -> None:
    assert problems()[0].startswith("nothing to read")
    assert problems("", "# empty\n")[0].startswith("no OrchestCluster in 2 files")


def test_one_cluster_twice_is_told_with_both_places() -> None:
    assert problems("# first\n" + MINIMAL, MINIMAL)[0].startswith(
        "b.yaml:1: metadata.name: OrchestCluster orchest/cluster-1 stands twice, first at a.yaml:2; keep one"
    )
    other = MINIMAL.replace("name: c", "namespace: other\n  name: c")
    assert len(load_clusters([("a.yaml", MINIMAL), ("b.yaml", other)])) == 2


# --- secrets ---------------------------------------------------------------------------------------------------------

CANARY = "hunter2-canary"
ENV = "  orchest:\n    env:\n      - "
TOLD = [
    f"  orchest:\n    registry: https://user:{CANARY}@registry.example.com\n",
    f"  orchest:\n    orchestHost: https://user:{CANARY}@example.com\n",
    f"  orchest:\n    orchestApi:\n      image: https://user:{CANARY}@registry.example.com/a\n",
    f"{ENV}{{name: DB_PASSWORD, value: {CANARY}}}\n  singleNode: {CANARY}\n",
    f"{ENV}{{name: DB_PASSWORD, value: '{CANARY}'}}\n      - {{name: '{CANARY}=', value: b}}\n",
]
"""Here the value is in a message, or would be."""
UNTOLD = [
    f"{ENV}{{name: DB_PASSWORD, value: [{CANARY}]}}\n",
    f"{ENV}{{name: DB_PASSWORD, value: {{a: {CANARY}}}}}\n",
    f"{ENV}{{name: DB_PASSWORD, value: {CANARY}, valueFrom: {{secretKeyRef: {{name: a, key: b}}}}}}\n",
    f"  applications: [{{name: x, config: {{helm: {{parameters: [{{name: token, value: [{CANARY}]}}]}}}}}}]\n",
    f"{ENV}{{name: DB_PASSWORD, value: 'x\n{CANARY}\n",
]


@pytest.mark.parametrize("spec", TOLD + UNTOLD)
def test_no_error_tells_a_secret(spec: str) -> None:
    assert CANARY not in "\n".join(problems(HEAD + "spec:\n" + spec))


@pytest.mark.parametrize("spec", TOLD)
def test_the_secret_would_be_told_if_masking_were_not_there(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desired_state.cluster_manifest.scrub", lambda text, _secrets, _mask: text)

    assert CANARY in "\n".join(problems(HEAD + "spec:\n" + spec))


def test_a_number_that_is_a_password_is_not_told_either() -> None:
    told = problem(HEAD + "spec:\n  orchest:\n    env:\n      - {name: DB_PASSWORD, value: 12345678}\n")

    assert "12345678" not in told
    assert told.startswith("a.yaml:8: spec.orchest.env[0].value: found the number (sensitive), expected a string")
