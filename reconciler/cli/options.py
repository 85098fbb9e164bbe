"""Options that several commands share, each spelled once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from desired_state.objects import GROUP, ObjectKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from desired_state.cluster import OrchestCluster
    from desired_state.origin import Origin
    from reconciler.source import Documents

Command = TypeVar("Command", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class NamedApi:
    """The API that commands ask instead of this machine's database and kubeconfig."""

    url: str
    token_file: Path | None
    """None: the token is in the environment."""
    ca_file: Path | None
    is_clear_text_allowed: bool


def api_options(command: Command) -> Command:
    """Adds `api: NamedApi | None`. The token is no option: everybody on the machine could read it there."""

    @click.option(
        "--api",
        "api_url",
        metavar="URL",
        envvar="ORCHEST_API_URL",
        show_envvar=True,
        help="Ask the API there, instead of the database and the kubeconfig here. Its token: ORCHEST_API_TOKEN.",
    )
    @click.option(
        "--api-token-file",
        "token_file",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="ORCHEST_API_TOKEN_FILE",
        help="Read the API's token from there.",
    )
    @click.option(
        "--api-ca",
        "ca_file",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="ORCHEST_API_CA",
        help="Trust these certificates for the API.  [default: the system's]",
    )
    @click.option(
        "--api-insecure",
        "is_insecure",
        is_flag=True,
        envvar="ORCHEST_API_INSECURE",
        help="Send the token by http:// to other machines too. Only inside a network you trust.",
    )
    @wraps(command)
    def wrapper(
        api_url: str | None, token_file: Path | None, ca_file: Path | None, is_insecure: bool, **rest: Any
    ) -> Any:
        named = NamedApi(api_url, token_file, ca_file, is_insecure) if api_url else None
        return command(api=named, **rest)

    return wrapper  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Target:
    """Which API server, and which cluster there. None means: as kubectl would decide."""

    kubeconfig: str | None
    context: str | None
    namespace: str | None
    cluster_name: str | None

    @property
    def cluster_key(self) -> ObjectKey:
        """For commands without a manifest: the names the original's CLI assumes when none are given."""
        return ObjectKey(GROUP, "OrchestCluster", self.namespace or "orchest", self.cluster_name or "cluster-1")


@dataclass(frozen=True, slots=True)
class Input:
    """Where manifests are read from: paths, or a Git revision."""

    paths: tuple[str, ...]
    git: str | None
    revision: str
    directory: str

    def read(self) -> Documents:
        from reconciler.source import read_git, read_paths

        if self.git and self.paths:
            raise click.UsageError("Give either --filename or --git, not both.")
        if self.git:
            return read_git(self.git, self.revision, self.directory)
        if self.paths:
            return read_paths(self.paths)
        raise click.UsageError(
            "Nothing to read. Give -f FILE|FOLDER|-, or --git REPOSITORY [--revision REV] [--path DIR]."
        )


_SERVER = (
    click.option("--kubeconfig", metavar="FILE", help="Kubeconfig file.  [default: as kubectl]"),
    click.option("--context", metavar="NAME", help="Context in the kubeconfig."),
)
_CLUSTER = (
    click.option("-n", "--namespace", metavar="NAME", help="Namespace of the cluster.  [default: orchest]"),
    click.option("-c", "--cluster-name", metavar="NAME", help="Which OrchestCluster, when there are several."),
)


def _target(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """A decorator that adds `target: Target`."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def wrapper(
            *,
            kubeconfig: str | None = None,
            context: str | None = None,
            namespace: str | None = None,
            cluster_name: str | None = None,
            **rest: Any,
        ) -> Any:
            return command(target=Target(kubeconfig, context, namespace, cluster_name), **rest)

        decorated: Any = wrapper
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


server_options = _target(*_SERVER)
"""Which API server."""
cluster_options = _target(*_CLUSTER)
"""Which cluster of those that were read."""
target_options = _target(*_SERVER, *_CLUSTER)
"""Both."""


def input_options(command: Command) -> Command:
    """Adds `source: Input`."""

    @click.option(
        "-f",
        "--filename",
        "paths",
        metavar="FILE|FOLDER|-",
        multiple=True,
        help="Manifests; may be given several times.",
    )
    @click.option("--git", metavar="URL|PATH", help="Read manifests from a Git repository instead.")
    @click.option("--revision", metavar="REV", default="HEAD", show_default=True, help="Branch, tag or commit.")
    @click.option("--path", "directory", metavar="DIR", default="", help="Folder inside the repository.")
    @wraps(command)
    def wrapper(paths: tuple[str, ...], git: str | None, revision: str, directory: str, **rest: Any) -> Any:
        return command(source=Input(paths, git, revision, directory), **rest)

    return wrapper  # type: ignore[return-value]


output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    show_default=True,
    help="Output format.",
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """One cluster out of what was read, and where it was read."""

    cluster: OrchestCluster
    origin: Origin


def choose(documents: Documents, target: Target) -> Chosen:
    """The one cluster the command is about. Raises click.UsageError when that is not clear."""
    from desired_state.document import load_clusters

    clusters = load_clusters(documents.documents, namespace=target.namespace or "")
    wanted = [
        cluster
        for cluster in clusters
        if target.cluster_name in {None, cluster.name} and target.namespace in {None, cluster.namespace}
    ]
    if len(wanted) == 1:
        return Chosen(wanted[0], documents.origin)
    known = ", ".join(f"{cluster.namespace}/{cluster.name}" for cluster in clusters)
    if not wanted:
        raise click.UsageError(f"No such OrchestCluster in what was read; there is: {known}. Check -n and -c.")
    raise click.UsageError(f"Several OrchestClusters were read: {known}. Choose one by -n and -c.")
