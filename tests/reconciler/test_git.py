from __future__ import annotations

import base64
import http.server
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pygit2
import pytest

from desired_state.origin import OriginKind
from reconciler.documents import MAX_FILE_BYTES
from reconciler.git import parse_address
from reconciler.source import SourceError, read_git, reread
from tests.reconciler.repositories import Link, Repository, Submodule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "fleet.git")


def error_of(location: Path | str, revision: str = "HEAD", directory: str = "") -> str:
    with pytest.raises(SourceError) as caught:
        read_git(str(location), revision, directory)
    return str(caught.value)


def texts(location: Path | str, revision: str = "HEAD", directory: str = "") -> list[str]:
    return [text for _, text in read_git(str(location), revision, directory).documents]


# --- a local repository


def test_names_carry_the_path_and_the_short_commit(repository: Repository) -> None:
    commit = repository.commit({"clusters/eu/a.yaml": "a", "clusters/b.json": "b", "README.md": "no"})
    read = read_git(str(repository.path), "main", "clusters")
    assert read.documents == ((f"clusters/b.json@{commit[:7]}", "b"), (f"clusters/eu/a.yaml@{commit[:7]}", "a"))


def test_the_origin_says_what_was_read(repository: Repository) -> None:
    commit = repository.commit({"clusters/a.yaml": "a"})
    origin = read_git(str(repository.path), "main", "./clusters/").origin
    assert origin.kind is OriginKind.GIT
    assert (origin.location, origin.revision, origin.commit, origin.directory) == (
        str(repository.path),
        "main",
        commit,
        "clusters",
    )
    assert str(origin) == f"main ({commit[:7]}) of {repository.path}, clusters"


def test_every_way_to_name_a_commit(repository: Repository) -> None:
    first = repository.commit({"a.yaml": "first"})
    repository.tag("v1.0", first)
    repository.commit({"a.yaml": "second"})
    repository.git.references.create("refs/remotes/origin/next", first)
    for revision in ("v1.0", first, first[:8], "HEAD~1", "main~1", "main^", "origin/next", "refs/tags/v1.0"):
        assert texts(repository.path, revision) == ["first"], revision
    for revision in ("HEAD", "main", "refs/heads/main"):
        assert texts(repository.path, revision) == ["second"], revision


def test_only_what_is_committed_counts_in_a_work_tree(tmp_path: Path) -> None:
    bare = Repository(tmp_path / "bare.git")
    bare.commit({"clusters/a.yaml": "committed"})
    tree = tmp_path / "tree"
    pygit2.clone_repository(str(bare.path), str(tree))
    (tree / "clusters" / "a.yaml").write_text("edited")
    (tree / "clusters" / "b.yaml").write_text("new")
    before = (tree / ".git" / "index").read_bytes()
    assert texts(tree) == ["committed"]
    assert texts(tree / "clusters") == ["committed"]
    assert (tree / ".git" / "index").read_bytes() == before
    assert (tree / "clusters" / "a.yaml").read_text() == "edited"


def test_no_git_program_is_needed(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit({"a.yaml": "a"})
    monkeypatch.setenv("PATH", "")
    assert texts(repository.path) == ["a"]


def test_a_directory_may_be_one_file(repository: Repository) -> None:
    commit = repository.commit({"clusters/a.yaml": "a", "clusters/b.yaml": "b"})
    assert read_git(str(repository.path), "HEAD", "clusters/b.yaml").documents == (
        (f"clusters/b.yaml@{commit[:7]}", "b"),
    )


def test_hidden_folders_are_left_out(repository: Repository) -> None:
    repository.commit({"a.yaml": "a", ".github/workflows/ci.yaml": "no", ".pre-commit-config.yaml": "no"})
    assert texts(repository.path) == ["a"]


def test_files_and_git_agree_on_the_digest(repository: Repository, tmp_path: Path) -> None:
    from reconciler.source import read_paths

    repository.commit({"clusters/eu/a.yaml": "a", "clusters/b.yaml": "b", "clusters/a/z.yml": "z"})
    files = tmp_path / "files"
    for name, text in (("eu/a.yaml", "a"), ("b.yaml", "b"), ("a/z.yml", "z")):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(text)
    from_git = read_git(str(repository.path), "HEAD", "clusters")
    from_files = read_paths([str(files)])
    assert from_git.origin.content_digest == from_files.origin.content_digest
    assert [text for _, text in from_git.documents] == [text for _, text in from_files.documents]


def test_reading_again_reads_the_recorded_commit_though_the_branch_moved(repository: Repository) -> None:
    repository.commit({"a.yaml": "planned"})
    planned = read_git(str(repository.path), "main")
    repository.commit({"a.yaml": "later"})
    again = reread(planned.origin)
    assert again.documents == planned.documents
    assert again.origin.commit == planned.origin.commit


def test_a_recorded_commit_that_is_gone_gets_the_mend(repository: Repository) -> None:
    repository.commit({"a.yaml": "a"})
    assert error_of(repository.path, "2" * 40) == (
        f"{repository.path}: commit 2222222 is not there. Was history rewritten? Plan again from a branch or tag."
    )


@pytest.mark.parametrize(
    ("revision", "hint"),
    [
        ("mian", "Did you mean 'main'?"),
        ("v1", "Did you mean 'v1.0'?"),
        ("feature", "Did you mean 'origin/feature'?"),
        ("zzz", "There is: main, origin/feature, v1.0."),
        ("main..v1.0", "There is: main, origin/feature, v1.0."),
        ("main:a.yaml", "There is: main, origin/feature, v1.0."),
        ("", "There is: main, origin/feature, v1.0."),
        ("HEAD~7", "There is: main, origin/feature, v1.0."),
    ],
)
def test_a_missing_revision_is_answered_with_what_there_is(repository: Repository, revision: str, hint: str) -> None:
    commit = repository.commit({"a.yaml": "a"})
    repository.tag("v1.0", commit)
    repository.git.references.create("refs/remotes/origin/feature", commit)
    said = error_of(repository.path, revision)
    assert said == f"{repository.path}: no branch, tag or commit {revision!r}. {hint}"


def test_a_repository_without_commits_says_so(repository: Repository) -> None:
    assert (
        error_of(repository.path) == f"{repository.path}: the repository has no commit yet. Commit the manifest first."
    )


def test_a_missing_folder_of_the_machine_is_named(tmp_path: Path) -> None:
    assert error_of(tmp_path / "nowhere").endswith(
        "nowhere: no such folder. Check --git: a folder inside a repository, or a URL."
    )


def test_a_folder_that_is_no_repository_gets_both_mends(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    said = error_of(tmp_path / "plain")
    assert said == (
        f"{tmp_path}/plain: not inside a Git repository. Run git init and commit, or read files by -f {tmp_path}/plain."
    )


def test_a_directory_that_is_not_in_the_commit_is_named_with_what_is(repository: Repository) -> None:
    commit = repository.commit({"clusters/a.yaml": "a", "charts/b.yaml": "b"})
    place = f"{repository.path}@{commit[:7]}"
    assert error_of(repository.path, "HEAD", "cluster") == (
        f"{place}: no folder 'cluster' there. Did you mean 'clusters'?"
    )
    assert (
        error_of(repository.path, "HEAD", "zzz") == f"{place}: no folder 'zzz' there. Folders there: charts, clusters."
    )
    assert error_of(repository.path, "HEAD", "clusters/a.yaml/b").startswith(f"{place}: no folder 'clusters/a.yaml/b'")


def test_a_directory_outside_the_repository_is_refused(repository: Repository) -> None:
    repository.commit({"a.yaml": "a"})
    assert error_of(repository.path, "HEAD", "a/../../etc").startswith("--path a/../../etc: leaves the repository.")


def test_a_directory_without_manifests_is_an_error(repository: Repository) -> None:
    commit = repository.commit({"docs/README.md": "no", "clusters/a.yaml": "a"})
    assert error_of(repository.path, "HEAD", "docs") == (
        f"{repository.path}@{commit[:7]}: no *.yaml, *.yml or *.json in docs. Folders there: clusters, docs."
    )


@pytest.mark.parametrize("directory", ["", "clusters", "clusters/link.yaml"])
def test_a_symbolic_link_is_refused_not_left_out(repository: Repository, directory: str) -> None:
    commit = repository.commit({"clusters/a.yaml": "a", "clusters/link.yaml": Link("../../../etc/passwd")})
    assert error_of(repository.path, "HEAD", directory).startswith(
        f"clusters/link.yaml@{commit[:7]}: a symbolic link; links are not followed in Git."
    )


@pytest.mark.parametrize("directory", ["", "clusters/shared"])
def test_a_submodule_is_refused_not_left_out(repository: Repository, directory: str) -> None:
    commit = repository.commit({"clusters/a.yaml": "a", "clusters/shared": Submodule()})
    assert error_of(repository.path, "HEAD", directory) == (
        f"clusters/shared@{commit[:7]}: a submodule; it is not read from here. Give its own repository by --git."
    )


def test_text_that_is_not_utf_8_is_named_with_its_commit(repository: Repository) -> None:
    commit = repository.commit({"a.yaml": b"name: \xff"})
    assert error_of(repository.path) == f"a.yaml@{commit[:7]}: not UTF-8: byte 7 is 0xff. Save the file as UTF-8."


def test_a_file_that_is_too_large_is_named(repository: Repository) -> None:
    commit = repository.commit({"a.yaml": "#" * (MAX_FILE_BYTES + 1)})
    assert error_of(repository.path).startswith(f"a.yaml@{commit[:7]}: {MAX_FILE_BYTES + 1} bytes")


def test_a_damaged_repository_says_so(repository: Repository) -> None:
    repository.commit({"a.yaml": "a"})
    blob = str(repository.git.revparse_single("HEAD:a.yaml").id)
    (repository.path / "objects" / blob[:2] / blob[2:]).unlink()
    assert "the repository is damaged" in error_of(repository.path)
    assert "git fsck" in error_of(repository.path)


# --- a remote repository


def remote(repository: Repository) -> str:
    return f"file://{repository.path}"


def test_a_url_is_fetched_into_the_cache(repository: Repository, tmp_path: Path) -> None:
    commit = repository.commit({"clusters/a.yaml": "a"})
    read = read_git(remote(repository), "main", "clusters")
    assert read.documents == ((f"clusters/a.yaml@{commit[:7]}", "a"),)
    assert read.origin.location == remote(repository)
    assert any((tmp_path / "cache" / "orchest" / "git").iterdir())


def test_a_branch_of_a_url_is_always_read_afresh(repository: Repository) -> None:
    repository.commit({"a.yaml": "first"})
    assert texts(remote(repository), "main") == ["first"]
    repository.commit({"a.yaml": "second"})
    assert texts(remote(repository), "main") == ["second"]
    assert texts(remote(repository), "HEAD~1") == ["first"]


def test_head_of_a_url_is_its_default_branch_even_after_that_changed(repository: Repository) -> None:
    repository.commit({"a.yaml": "main"})
    repository.commit({"a.yaml": "trunk"}, branch="trunk")
    assert texts(remote(repository)) == ["main"]
    repository.git.set_head("refs/heads/trunk")
    assert texts(remote(repository)) == ["trunk"]


def test_a_branch_that_was_removed_or_rewritten_there_is_so_here(repository: Repository) -> None:
    first = repository.commit({"a.yaml": "a"})
    repository.commit({"a.yaml": "topic"}, branch="topic")
    assert texts(remote(repository), "topic") == ["topic"]
    repository.git.references.delete("refs/heads/topic")
    assert "no branch, tag or commit 'topic'" in error_of(remote(repository), "topic")
    repository.commit({"a.yaml": "wrong"})
    assert texts(remote(repository), "main") == ["wrong"]
    repository.git.references["refs/heads/main"].set_target(first)
    assert texts(remote(repository), "main") == ["a"]


def test_a_recorded_commit_is_read_again_without_the_remote(repository: Repository) -> None:
    repository.commit({"a.yaml": "a"})
    planned = read_git(remote(repository), "main")
    shutil.rmtree(repository.path)
    assert reread(planned.origin).documents == planned.documents


def test_several_processes_fetch_one_repository_together(repository: Repository) -> None:
    repository.commit({f"{number}.yaml": str(number) for number in range(20)})
    program = f"from reconciler.source import read_git; print(len(read_git({remote(repository)!r}).documents))"
    processes = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in processes] == [b"20\n"] * 3


def test_a_remote_that_is_not_there_gets_the_mend(tmp_path: Path) -> None:
    said = error_of(f"file://{tmp_path}/nowhere.git")
    assert said.startswith(f"file://{tmp_path}/nowhere.git: cannot be fetched:")
    assert said.endswith("Check address, network and access.")


def test_a_cache_that_cannot_be_written_gets_the_mend(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"a.yaml": "a"})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert error_of(remote(repository)).endswith("Set XDG_CACHE_HOME to a writable folder.")


class _Guarded(http.server.BaseHTTPRequestHandler):
    """A server that lets nobody in, and remembers what was tried."""

    tried: list[str]

    def do_GET(self) -> None:
        self.tried.append(self.headers.get("Authorization", ""))
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="fleet"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not into the output of the tests."""


@pytest.fixture
def guarded() -> Iterator[http.server.ThreadingHTTPServer]:
    _Guarded.tried = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Guarded) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_repository_that_asks_who_you_are_gets_the_mend(guarded: http.server.ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{guarded.server_port}/fleet.git"
    assert error_of(url) == (
        f"{url}: this repository asks who you are. "
        "Give user and token: https://USER:TOKEN@HOST/PATH (the token is neither shown nor stored)."
    )


def test_a_refused_token_is_tried_once_and_never_shown(
    guarded: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    host = f"127.0.0.1:{guarded.server_port}/fleet.git"
    said = error_of(f"http://ada:canary@{host}")
    assert said.startswith(f"http://{host}: access denied.")
    basic = f"Basic {base64.b64encode(b'ada:canary').decode()}"
    assert set(_Guarded.tried) == {"", basic}
    assert _Guarded.tried.count(basic) <= 2
    stored = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert b"canary" not in stored
    assert "canary" not in said


@pytest.mark.parametrize(
    ("location", "url", "user", "password"),
    [
        ("https://ada:canary@host/a.git", "https://host/a.git", "ada", "canary"),
        ("https://token@host:8443/a.git", "https://host:8443/a.git", "token", ""),
        ("http://[::1]:80/a", "http://[::1]:80/a", "", ""),
        ("ssh://git@host:22/a.git", "ssh://git@host:22/a.git", "git", ""),
        ("ssh://git:canary@host/a.git", "ssh://git@host/a.git", "git", "canary"),
        ("git@host.example:org/a.git", "git@host.example:org/a.git", "git", ""),
        ("file:///srv/a.git", "file:///srv/a.git", "", ""),
    ],
)
def test_an_address_keeps_its_secrets_apart(location: str, url: str, user: str, password: str) -> None:
    address = parse_address(location)
    assert address is not None
    assert (address.url, address.user, address.password) == (url, user, password)


@pytest.mark.parametrize("path", [".", "/srv/fleet", "fleet.git", "a@b", "./git@host:x", "C:/fleet"])
def test_a_path_is_no_address(path: str) -> None:
    assert parse_address(path) is None


@pytest.mark.parametrize(
    "location",
    [
        "ftp://ada:canary@host/a",
        "https://ada:canary@host:port/a",
        "https://host/a?private_token=canary",
        "https://host/a#canary",
        "https://[ada:canary@host/a",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_secrets(location: str) -> None:
    with pytest.raises(SourceError, match=r"Write https://HOST/PATH") as caught:
        parse_address(location)
    assert "canary" not in str(caught.value)
