"""Bad input to commands that need no server: one message with the mend, the right exit code, nothing left behind."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from desired_state.masking import Masker
from desired_state.objects import GROUP, ObjectKey
from diff.snapshot import Snapshot
from diff.snapshot_file import dump
from reconciler.cli.exit_codes import ExitCode
from reconciler.prepare import ASSUMED_FACTS
from tests.command_line import files_below, orchest
from tests.reconciler.repositories import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from desired_state.facts import ClusterFacts

MANIFEST = """\
apiVersion: orchest.io/v1alpha1
kind: OrchestCluster
metadata: {name: cluster-1, namespace: science}
spec:
  singleNode: true
  orchest: {orchestHost: orchest.example.com}
"""
READING_COMMANDS = ("render", "plan", "diff", "apply")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with nothing: no state, no cache, no kubeconfig."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("KUBECONFIG", "ORCHEST_DATABASE_URL", "ORCHEST_MASKING_KEY", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return folder


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with one good manifest and one snapshot of an empty cluster."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(MANIFEST)
    (tmp_path / "empty.json").write_bytes(snapshot_file(ASSUMED_FACTS))
    return tmp_path


def snapshot_file(facts: ClusterFacts) -> bytes:
    cluster = ObjectKey(GROUP, "OrchestCluster", "science", "cluster-1")
    taken = Snapshot(cluster=cluster, facts=facts, objects={}, taken_at="2026-11-22T12:00:00Z", crd_hash="")
    return dump(taken, Masker(b"0123456789abcdef"))


def offline(command: str) -> tuple[str, ...]:
    return () if command == "apply" else ("--snapshot", "empty.json")


# --- manifests -------------------------------------------------------------------------------------------------------

BAD_MANIFESTS = {
    "malformed": ("a: [1\nb: 2\n", ("bad.yaml:2", "not YAML", "bracket is never closed")),
    "a tab": ("a:\n\tb: 1\n", ("bad.yaml:2", "tab", "use spaces")),
    "a list": ("- 1\n", ("bad.yaml:1",)),
    "empty": ("", ("bad.yaml", "holds no OrchestCluster")),
    "a wrong type": (
        MANIFEST.replace("singleNode: true", "singleNode: 17"),
        ("bad.yaml:5: spec.singleNode", "found 17, expected true or false"),
    ),
    "an unknown field": (
        MANIFEST.replace("singleNode", "singleNodes"),
        ("bad.yaml:5: spec.singleNodes", 'did you mean "singleNode"'),
    ),
    "an unknown kind": (
        MANIFEST.replace("OrchestCluster", "OrchestKluster"),
        ("bad.yaml:2: kind", 'did you mean "OrchestCluster"'),
    ),
    "another kind": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
        ("bad.yaml:2: kind", "ConfigMap", "keep only OrchestCluster"),
    ),
    "two clusters of one name": (
        f"{MANIFEST}---\n{MANIFEST}",
        ("bad.yaml:8", "science/cluster-1 stands twice", "keep one"),
    ),
    "several mistakes": (
        MANIFEST.replace("singleNode: true", "singleNode: 17\n  nonsense: 1"),
        ("spec.singleNode", "spec.nonsense"),
    ),
}


@pytest.mark.parametrize("command", READING_COMMANDS)
@pytest.mark.parametrize(("text", "words"), BAD_MANIFESTS.values(), ids=BAD_MANIFESTS)
def test_a_bad_manifest_is_told_with_its_place(
    command: str, text: str, words: tuple[str, ...], work: Path, home: Path
) -> None:
    (work / "bad.yaml").write_text(text)
    orchest(command, "-f", "bad.yaml", *offline(command)).failed(ExitCode.ERROR, *words)
    assert not [name for name in files_below(home) if "masking.key" not in name]


def test_an_empty_folder_holds_nothing_to_apply(work: Path) -> None:
    (work / "empty").mkdir()
    orchest("plan", "-f", "empty", *offline("plan")).failed(ExitCode.ERROR, "empty", "*.yaml", "Name the folder")


def test_a_file_that_is_not_there_is_named() -> None:
    orchest("plan", "-f", "absent.yaml", *offline("plan")).failed(ExitCode.ERROR, "absent.yaml", "no such file")


def test_a_secret_in_a_bad_manifest_is_not_repeated(work: Path) -> None:
    env = "env: [{name: DB_PASSWORD, value: [hunter2]}, {name: API_TOKEN, valeu: hunter2}, {name: KEY, value: 4711}]"
    (work / "bad.yaml").write_text(MANIFEST.replace("orchestHost: orchest.example.com", env))
    result = orchest("plan", "-f", "bad.yaml", *offline("plan"))
    result.failed(ExitCode.ERROR, "env[0].value", 'did you mean "value"', "env[2].value")
    assert "hunter2" not in result.err
    assert "4711" not in result.err


def test_one_of_several_clusters_must_be_chosen(work: Path) -> None:
    (work / "two.yaml").write_text(f"{MANIFEST}---\n{MANIFEST.replace('cluster-1', 'cluster-2')}")
    both = ("science/cluster-1", "science/cluster-2")
    orchest("plan", "-f", "two.yaml", *offline("plan")).failed(ExitCode.USAGE, *both, "-n and -c")
    orchest("plan", "-f", "two.yaml", "-c", "absent", *offline("plan")).failed(ExitCode.USAGE, *both)
    orchest("plan", "-f", "two.yaml", "-c", "cluster-1", *offline("plan")).succeeded()


# --- Git -------------------------------------------------------------------------------------------------------------


def test_what_git_does_not_have_is_told(work: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    repository = Repository(work / "repository")
    repository.commit({"clusters/cluster.yaml": MANIFEST, "broken/cluster.yaml": "a: ["})
    git = ("plan", "--git", "repository", *offline("plan"))
    orchest(*git).failed(ExitCode.ERROR, "broken/cluster.yaml@", "not YAML")
    orchest(*git, "--path", "clusters").succeeded()
    orchest(*git, "--revision", "mian").failed(ExitCode.ERROR, "no branch, tag or commit 'mian'", "Did you mean 'main'")
    orchest(*git, "--path", "cluster").failed(ExitCode.ERROR, "no folder 'cluster'", "Did you mean 'clusters'")
    outside = tmp_path_factory.mktemp("outside")
    orchest("plan", "--git", outside, *offline("plan")).failed(
        ExitCode.ERROR, "not inside a Git repository", "git init"
    )
    orchest("plan", "--git", "nowhere", *offline("plan")).failed(ExitCode.ERROR, "nowhere: no such folder")
    orchest("plan", "--git", "https://127.0.0.1:9/r.git", *offline("plan")).failed(ExitCode.ERROR, "cannot be fetched")


# --- snapshots -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 100, -2])
def test_a_cut_snapshot_is_refused(length: int, work: Path) -> None:
    (work / "cut.json").write_bytes(snapshot_file(ASSUMED_FACTS)[:length])
    for arguments in (("plan", "-f", "cluster.yaml", "--snapshot", "cut.json"), ("snapshot", "show", "cut.json")):
        orchest(*arguments).failed(ExitCode.ERROR, "cut.json", "cut short", "orchest snapshot save FILE")


FOREIGN_SNAPSHOTS = {
    "a list": "[]",
    "a word": '"format"',
    "another document": '{"kind": "List"}',
    "a later format": '{"format": "orchest-snapshot/9"}',
    "nothing but a format": '{"format": "orchest-snapshot/1"}',
    "objects that are none": '{"format": "orchest-snapshot/1", "objects": [7]}',
    "metadata that is none": '{"format": "orchest-snapshot/1", "objects": [{"apiVersion": "v1", "metadata": "m"}]}',
    "not JSON": "apiVersion: v1",
}


@pytest.mark.parametrize("text", FOREIGN_SNAPSHOTS.values(), ids=FOREIGN_SNAPSHOTS)
def test_a_file_that_is_no_snapshot_is_refused(text: str, work: Path) -> None:
    (work / "foreign.json").write_text(text)
    orchest("plan", "-f", "cluster.yaml", "--snapshot", "foreign.json").failed(ExitCode.ERROR, "foreign.json")


def test_a_snapshot_that_is_not_there_is_named() -> None:
    mend = "orchest snapshot save FILE"
    orchest("plan", "-f", "cluster.yaml", "--snapshot", "absent").failed(ExitCode.ERROR, "absent: No such file", mend)
    orchest("snapshot", "diff", "empty.json", "absent.json").failed(ExitCode.ERROR, "absent.json: No such file", mend)
    orchest("snapshot", "show", "abcd").failed(ExitCode.ERROR, "no cycle abcd", "orchest history")


def test_without_a_storage_class_the_plan_is_refused_with_the_mend(work: Path) -> None:
    (work / "bare.json").write_bytes(snapshot_file(replace(ASSUMED_FACTS, storage_classes=())))
    result = orchest("plan", "-f", "cluster.yaml", "--snapshot", "bare.json")
    assert result.code == ExitCode.REFUSED
    assert "refusal: " in result.out
    assert "StorageClass" in result.err
    assert "Error: " in result.err


# --- plan files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def plan_file(work: Path) -> Path:
    orchest("plan", "-f", "cluster.yaml", "--snapshot", "empty.json", "--out", "plan.json").succeeded()
    return work / "plan.json"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_cut_plan_file_is_refused(share: float, plan_file: Path) -> None:
    data = plan_file.read_bytes()
    plan_file.write_bytes(data[: int(len(data) * share)])
    orchest("apply", plan_file).failed(ExitCode.ERROR, str(plan_file), "cut short", "orchest plan --out FILE")


def test_an_edited_plan_file_is_refused(plan_file: Path) -> None:
    text = plan_file.read_text()
    for before, after in (('"verb": "create"', '"verb": "delete"'), ('"wave": 1', '"wave": 2'), ("science", "public")):
        assert before in text
        plan_file.write_text(text.replace(before, after))
        orchest("apply", plan_file).failed(ExitCode.ERROR, "was changed after it was written", "orchest plan --out")


@pytest.mark.parametrize("text", ["[]", "{}", '"format_version"', MANIFEST, '{"format_version": "9.0"}', "\xff"])
def test_a_file_that_is_no_plan_is_refused(text: str, work: Path) -> None:
    (work / "other").write_text(text, encoding="latin-1")
    orchest("apply", "other").failed(ExitCode.ERROR, "other: ", "orchest plan --out FILE")


def test_a_plan_file_that_is_not_there_is_named() -> None:
    orchest("apply", "absent.json").failed(
        ExitCode.ERROR, "absent.json: No such file", "orchest plan --out absent.json"
    )


def test_a_saved_plan_whose_manifest_changed_since_is_stale(plan_file: Path, work: Path) -> None:
    (work / "cluster.yaml").write_text(MANIFEST.replace("orchest.example.com", "other.example.com"))
    orchest("apply", plan_file).failed(ExitCode.STALE, "cluster.yaml", "changed since the plan was made")


def test_a_saved_plan_whose_manifest_is_gone_says_so(plan_file: Path, work: Path) -> None:
    (work / "cluster.yaml").unlink()
    orchest("apply", plan_file).failed(ExitCode.ERROR, "cluster.yaml: no such file")


def test_a_plan_from_standard_input_cannot_be_applied_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(MANIFEST.encode())))
    orchest("plan", "-f", "-", "--snapshot", "empty.json", "--out", "plan.json").succeeded()
    orchest("apply", "plan.json").failed(ExitCode.ERROR, "standard input cannot be read again", "apply -f - --yes")


@pytest.mark.parametrize("place", ["absent/plan.json", "cluster.yaml/plan.json"])
def test_a_plan_that_cannot_be_written_leaves_nothing(place: str, work: Path) -> None:
    before = files_below(work)
    orchest("plan", "-f", "cluster.yaml", "--snapshot", "empty.json", "--out", place).failed(ExitCode.ERROR, place)
    assert files_below(work) == before


def test_a_plan_file_is_for_its_owner_only(plan_file: Path) -> None:
    assert plan_file.stat().st_mode & 0o777 == 0o600


# --- settings --------------------------------------------------------------------------------------------------------


def test_a_missing_kubeconfig_is_told() -> None:
    for arguments in (("plan", "-f", "cluster.yaml"), ("apply", "-f", "cluster.yaml", "--yes"), ("status",)):
        orchest(*arguments).failed(ExitCode.ERROR, "There is no kubeconfig at", "--kubeconfig FILE")
    orchest("install", "--crds", "--kubeconfig", "absent").failed(ExitCode.ERROR, "no kubeconfig at absent")


@pytest.mark.parametrize("text", ["", "hello", "{", "clusters: [{name: x}]", "current-context: x\ncontexts: 7"])
def test_a_damaged_kubeconfig_is_told(text: str, work: Path) -> None:
    (work / "config").write_text(text)
    orchest("status", "--kubeconfig", "config").failed(ExitCode.ERROR, "The kubeconfig config")


def test_a_database_that_cannot_be_used_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, words in {
        "mysql://u:hunter2@h/d": ("mysql: not a database that can be used",),
        "nonsense hunter2": ("is not a database URL",),
        "postgresql://u:hunter2@127.0.0.1:9/d": ("127.0.0.1:9", "Check that PostgreSQL runs"),
    }.items():
        monkeypatch.setenv("ORCHEST_DATABASE_URL", url)
        assert "hunter2" not in orchest("history").failed(ExitCode.ERROR, *words).err


def test_a_damaged_history_is_told(home: Path) -> None:
    (home / "state" / "orchest").mkdir(parents=True)
    (home / "state" / "orchest" / "history.db").write_text("not a database, by far not one" * 100)
    orchest("history").failed(ExitCode.ERROR, "history.db", "damaged")


def test_a_weak_masking_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_MASKING_KEY", "short")
    result = orchest("plan", "-f", "cluster.yaml", *offline("plan")).failed(ExitCode.ERROR, "ORCHEST_MASKING_KEY")
    assert "short:" not in result.err


# --- usage -----------------------------------------------------------------------------------------------------------

WRONG_USE = (
    (),
    ("nonsense",),
    ("plan",),
    ("apply",),
    ("plan", "--nonsense"),
    ("plan", "-f", "cluster.yaml", "--git", "."),
    ("plan", "-f", "cluster.yaml", "-o", "xml"),
    ("plan", "-f", "cluster.yaml", "--expires", "nan"),
    ("plan", "-f", "cluster.yaml", "--expires", "0"),
    ("plan", "-f", "cluster.yaml", "--out", "."),
    ("apply", "plan.json", "-f", "cluster.yaml"),
    ("apply", "plan.json", "--git", "."),
    ("apply", "-f", "cluster.yaml", "--timeout", "0"),
    ("apply", "-f", "cluster.yaml", "--timeout", "inf"),
    ("diff", "cluster.yaml"),
    ("history", "--limit", "0"),
    ("history", "a", "b"),
    ("install",),
    ("snapshot",),
    ("snapshot", "show"),
    ("snapshot", "diff", "empty.json"),
    ("snapshot", "save", "."),
    ("completion", "tcsh"),
)


@pytest.mark.parametrize("arguments", WRONG_USE, ids=" ".join)
def test_wrong_use_is_exit_code_64_with_the_usage(arguments: tuple[str, ...], work: Path) -> None:
    before = files_below(work)
    result = orchest(*arguments)
    assert result.code == ExitCode.USAGE
    assert result.out == ""
    assert result.err.startswith("Usage: orchest")
    assert files_below(work) == before
