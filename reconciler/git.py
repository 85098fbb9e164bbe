"""A Git revision as files, through libgit2: no `git` program, no work tree, no hooks. The only home of pygit2.

In: a repository's folder or URL, a revision, a directory inside it. Out: `Documents` with the commit in their origin.
Never: changes the user's repository, or lets a password into a name, an error or the cache.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pygit2
from pygit2.enums import CredentialType, FetchPrune, FileMode

from desired_state.origin import Origin, OriginKind
from reconciler.documents import Documents, Found, SourceError, assemble, check_size, is_document, is_hidden

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCP_LIKE = re.compile(r"^(?P<user>[\w.+-]+)@(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?!//)")
_FULL_ID = re.compile(r"^[0-9a-f]{40}$")
_REFSPECS = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
_TRUST_MEND = "If you trust it: name its CA by SSL_CERT_FILE, or add its SSH host key to known_hosts."
_CONNECT_MILLISECONDS = 10_000
_SILENCE_MILLISECONDS = 30_000


@dataclass(frozen=True, slots=True)
class Address:
    """A remote repository; `url` is safe to show and to store."""

    url: str
    user: str
    password: str


def read_revision(location: str, revision: str, directory: str, cache: Path) -> Documents:
    """See `source.read_git`. `cache` is the folder in which remote repositories are kept. Raises SourceError."""
    address = parse_address(location)
    place = address.url if address else str(Path(location).absolute())
    repository = _fetched(address, revision, cache) if address else _opened(location)
    below = _normalized(directory)
    commit = _resolve(repository, revision, place)
    try:
        found = _found(commit, below, place)
    except pygit2.GitError as error:
        raise SourceError(
            f"{place}: the repository is damaged: {error}. Check it (git fsck) or clone it afresh."
        ) from None
    return assemble(found, Origin(OriginKind.GIT, "", (), place, revision, str(commit.id), below))


def parse_address(location: str) -> Address | None:
    """The parts of a URL (`https://`, `ssh://`, `file://`, `user@host:path`), None for a path. Raises SourceError."""
    if match := _SCP_LIKE.match(location):
        return Address(location, match["user"], "")
    if "://" not in location:
        return None
    try:
        parts = urlsplit(location)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise SourceError("--git: not a URL. Write https://HOST/PATH or ssh://USER@HOST/PATH.") from None
    if parts.scheme not in {"https", "http", "ssh", "git", "file"} or parts.query or parts.fragment:
        raise SourceError(
            f"--git: {parts.scheme}://{parts.hostname or ''}...: not the address of a repository. "
            "Write https://HOST/PATH, ssh://USER@HOST/PATH or file:///PATH, without ? and #."
        )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    # A name is part of an SSH address and no secret; over HTTP it may be a token.
    user = f"{parts.username}@" if parts.scheme == "ssh" and parts.username else ""
    return Address(f"{parts.scheme}://{user}{host}{port}{parts.path}", parts.username or "", parts.password or "")


def _opened(location: str) -> pygit2.Repository:
    if not Path(location).is_dir():
        raise SourceError(f"{location}: no such folder. Check --git: a folder inside a repository, or a URL.")
    try:
        found = pygit2.discover_repository(location)
        if found is None:
            raise SourceError(
                f"{location}: not inside a Git repository. Run git init and commit, or read files by -f {location}."
            )
        return pygit2.Repository(found)
    except pygit2.GitError as error:
        mend = "Check that it is intact (git fsck)."
        if "owned by current user" in str(error):
            mend = f"If you trust it: git config --global --add safe.directory {Path(location).absolute()}"
        raise SourceError(f"{location}: the repository cannot be opened: {error}. {mend}") from None


def _fetched(address: Address, revision: str, cache: Path) -> pygit2.Repository:
    """The cached clone, brought up to date unless `revision` is a full commit id that it has: such never change."""
    folder = cache / blake2b(address.url.encode(), digest_size=16).hexdigest()
    try:
        with _locked(folder):
            repository = pygit2.init_repository(str(folder), bare=True)
            if not (_FULL_ID.match(revision) and revision in repository):
                _fetch(repository, address)
            return repository
    except OSError as error:
        raise SourceError(
            f"{folder}: {error.strerror}: cannot clone into it. Set XDG_CACHE_HOME to a writable folder."
        ) from None
    except pygit2.CertificateError as error:
        raise SourceError(f"{address.url}: {error}. {_TRUST_MEND}") from None
    except pygit2.AuthError as error:
        raise SourceError(f"{address.url}: {error}. {_access_mend(address)}") from None
    except pygit2.GitError as error:
        raise SourceError(f"{address.url}: cannot be fetched: {error}. Check address, network and access.") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time fetches into one clone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _fetch(repository: pygit2.Repository, address: Address) -> None:
    pygit2.settings.server_connect_timeout = _CONNECT_MILLISECONDS
    pygit2.settings.server_timeout = _SILENCE_MILLISECONDS
    remote = repository.remotes.create_anonymous(address.url)
    remote.fetch(_REFSPECS, callbacks=_Access(address), prune=FetchPrune.PRUNE, proxy=True)
    for head in remote.list_heads(connect=False):
        if head.name == "HEAD" and head.symref_target:
            repository.set_head(head.symref_target)


class _Access(pygit2.RemoteCallbacks):
    """Answers the server's question for credentials once; a second question means that they were refused."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self._address = address
        self._asked = False

    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> pygit2.Username | pygit2.UserPass | pygit2.Keypair:
        del url
        user = self._address.user or username_from_url or "git"
        if allowed_types & CredentialType.USERNAME:
            return pygit2.Username(user)
        if self._asked:
            raise SourceError(f"{self._address.url}: access denied. {_access_mend(self._address)}")
        self._asked = True
        if allowed_types & CredentialType.SSH_KEY:
            return pygit2.KeypairFromAgent(user)
        if allowed_types & CredentialType.USERPASS_PLAINTEXT and self._address.user:
            return pygit2.UserPass(self._address.user, self._address.password)
        raise SourceError(f"{self._address.url}: this repository asks who you are. {_access_mend(self._address)}")


def _access_mend(address: Address) -> str:
    if address.url.startswith("http"):
        return "Give user and token: https://USER:TOKEN@HOST/PATH (the token is neither shown nor stored)."
    return "Load a key that may read it into your agent (ssh-add), and its host key into known_hosts."


def _resolve(repository: pygit2.Repository, revision: str, place: str) -> pygit2.Commit:
    try:
        return repository.revparse_single(revision).peel(pygit2.Commit)
    except pygit2.AmbiguousError:
        raise SourceError(f"{place}: revision {revision!r} is the start of several ids. Give more of it.") from None
    except (pygit2.GitError, ValueError):
        raise SourceError(_missing_revision(repository, revision, place)) from None


def _missing_revision(repository: pygit2.Repository, revision: str, place: str) -> str:
    tags = [name.removeprefix("refs/tags/") for name in repository.references if name.startswith("refs/tags/")]
    names = [*repository.branches, *tags]
    if not names:
        return f"{place}: the repository has no commit yet. Commit the manifest first."
    if _FULL_ID.match(revision):
        return f"{place}: commit {revision[:7]} is not there. Was history rewritten? Plan again from a branch or tag."
    same = [name for name in names if name.endswith(f"/{revision}")]
    close = same or get_close_matches(revision, names, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There is: {', '.join(sorted(names)[:8])}."
    return f"{place}: no branch, tag or commit {revision!r}. {hint}"


def _normalized(directory: str) -> str:
    parts = [part for part in directory.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise SourceError(f"--path {directory}: leaves the repository. Give a folder inside it, from its root.")
    return "/".join(parts)


def _found(commit: pygit2.Commit, below: str, place: str) -> list[Found]:
    suffix = f"@{str(commit.id)[:7]}"
    try:
        entry: pygit2.Object = commit.tree[below] if below else commit.tree
    except KeyError:
        raise SourceError(f"{place}{suffix}: no folder {below!r} there. {_folders(commit.tree, below)}") from None
    if isinstance(entry, pygit2.Tree):
        root = f"{below}/" if below else ""
        files = [(path, f"{root}{path}", blob) for path, blob in _walk(entry, "", root, suffix)]
    else:
        files = [(Path(below).name, below, _blob(entry, below, suffix))]
    if not files:
        where = below or "the repository"
        raise SourceError(f"{place}{suffix}: no *.yaml, *.yml or *.json in {where}. {_folders(commit.tree, '')}")
    for _, full, blob in files:
        check_size(f"{full}{suffix}", blob.size)
    return [Found(f"{full}{suffix}", path, blob.data) for path, full, blob in files]


def _walk(tree: pygit2.Tree, path: str, root: str, suffix: str) -> Iterator[tuple[str, pygit2.Blob]]:
    """Manifests below `tree` with their paths in it. A link or submodule may hold some: refused, not left out."""
    for entry in tree:
        name = entry.name or ""
        if is_hidden(name):
            continue
        here = f"{path}{name}"
        if isinstance(entry, pygit2.Tree):
            yield from _walk(entry, f"{here}/", root, suffix)
        elif is_document(name) or entry.filemode in {FileMode.LINK, FileMode.COMMIT}:
            yield here, _blob(entry, f"{root}{here}", suffix)


def _blob(entry: pygit2.Object, full: str, suffix: str) -> pygit2.Blob:
    if isinstance(entry, pygit2.Blob) and entry.filemode != FileMode.LINK:
        return entry
    raise SourceError(_refused(full, suffix, entry.filemode))


def _refused(path: str, suffix: str, mode: int | None) -> str:
    if mode == FileMode.LINK:
        return (
            f"{path}{suffix}: a symbolic link; links are not followed in Git. Commit the file itself, or give --path."
        )
    return f"{path}{suffix}: a submodule; it is not read from here. Give its own repository by --git."


def _folders(tree: pygit2.Tree, wanted: str) -> str:
    names = sorted(entry.name or "" for entry in tree if isinstance(entry, pygit2.Tree))
    close = get_close_matches(wanted, names, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Folders there: {', '.join(names[:8])}." if names else "It has no folders: leave --path out."
