"""The API server as a handful of verbs over plain JSON. The only home of the `kubernetes` library.

That library knows kubeconfigs, exec plugins, token refresh, proxies and TLS, and builds the connection pool; objects
travel past its models as raw JSON, because decoding 10,000 objects through them takes minutes. In: object keys and
JSON. Out: JSON, or one `ClusterError` free of secrets. Never: a decision, a retry of a write, or an answer that is
awaited for ever.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
import urllib3

from desired_state.masking import secrets_in
from desired_state.objects import FIELD_MANAGER, KINDS, Kind, ObjectKey
from reconciler.errors import BadKubeconfig, ClusterError, NotFound, ServerFault, Unreachable, api_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from desired_state.masking import Masker

Content = dict[str, Any]
"""An object as the server told it: whole JSON with apiVersion and kind."""

CONNECTIONS = 8
"""As many requests are in flight at once: writes of one wave, reads of one observation."""
_BESIDES = 2
"""Connections for what goes on beside them: the Lease's renewal, the status."""
_TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)
_CREDENTIALS_SECONDS = 5.0
_PAGE = 500
_ATTEMPTS = 4
_LONGEST_WAIT_SECONDS = 5.0

NODE = Kind("", "v1", "Node", "nodes", namespaced=False)
POD = Kind("", "v1", "Pod", "pods", namespaced=True)
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases", namespaced=True)
INGRESS_CLASS = Kind("networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False)
STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False)
TOKEN_REVIEW = Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False)
CRD = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)

_ADDRESSABLE = {
    **KINDS,
    **{(kind.group, kind.kind): kind for kind in (NODE, POD, LEASE, INGRESS_CLASS, STORAGE_CLASS, CRD)},
}
"""What we plan for, and what we only look at."""


@dataclass(frozen=True, slots=True)
class ApplyAnswer:
    """What a server-side apply brought. `created` tells 201 from 200: whether the object was absent before."""

    content: Content
    created: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A connection pool to one API server and the headers that say who we are, fresh for each request."""

    host: str
    pool: urllib3.PoolManager
    headers: Callable[[], Mapping[str, str]]


def connect(kubeconfig: str | None = None, context: str | None = None) -> Session:
    """Find the API server as kubectl does: the given file, `$KUBECONFIG`, `~/.kube/config`, else from inside a pod.

    Raises BadKubeconfig, saying which file, context or entry is the trouble. Nothing is sent yet.
    """
    # 300 ms of imports, which offline commands need not pay.
    from kubernetes.client import Configuration  # noqa: PLC0415
    from kubernetes.client.rest import RESTClientObject  # noqa: PLC0415

    configuration = Configuration()
    _load(configuration, kubeconfig, context)
    configuration.connection_pool_maxsize = CONNECTIONS + _BESIDES
    configuration.retries = False
    try:
        pool = RESTClientObject(configuration).pool_manager
    except (OSError, ValueError) as error:
        raise BadKubeconfig(f"The certificates in the kubeconfig cannot be used: {error}.") from error
    return Session(configuration.host, pool, _Credentials(configuration))


class _Credentials:
    """The headers that say who we are.

    The library is asked whether they expired now and then: each time costs it 0.7 ms.
    """

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration
        self._asking = Lock()
        self._headers: Mapping[str, str] = {}
        self._good_until = 0.0

    def __call__(self) -> Mapping[str, str]:
        with self._asking:
            if time.monotonic() >= self._good_until:
                settings = self._configuration.auth_settings().values()
                # A token file usually ends with a new line, which no header may.
                self._headers = {setting["key"]: setting["value"].strip() for setting in settings if setting["value"]}
                self._good_until = time.monotonic() + _CREDENTIALS_SECONDS
            return self._headers


def _load(configuration: Any, kubeconfig: str | None, context: str | None) -> None:
    from kubernetes.config import ConfigException, load_incluster_config, load_kube_config  # noqa: PLC0415
    from yaml import YAMLError  # type: ignore[import-untyped]  # noqa: PLC0415

    files = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    present = [file for file in files.split(os.pathsep) if Path(file).is_file()]
    is_in_cluster = not present and not kubeconfig and "KUBERNETES_SERVICE_HOST" in os.environ
    if not present and not is_in_cluster:
        raise BadKubeconfig(f"There is no kubeconfig at {files}. Name one with --kubeconfig FILE, or set KUBECONFIG.")
    try:
        if is_in_cluster:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            load_kube_config(os.pathsep.join(present), context, configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        wanted = f" (context {context!r})" if context else ""
        source = "service account of this pod" if is_in_cluster else f"kubeconfig {files}"
        raise BadKubeconfig(
            f"The {source} cannot be used{wanted}: {error}. "
            "See the contexts with: kubectl config get-contexts, and choose one with --context."
        ) from error
    except (YAMLError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        # The library reads entries without checking their types; whatever that raises, the file is what must be mended.
        raise BadKubeconfig(
            f"The kubeconfig {files} is damaged ({type(error).__name__}). Mend or replace the file."
        ) from error


class ClusterClient:
    """The verbs. Safe for use from several threads at once."""

    def __init__(self, session: Session, masker: Masker) -> None:
        self._session = session
        self._masker = masker

    @property
    def server(self) -> str:
        """URL of the API server, to be shown."""
        return self._masker.scrub(self._session.host)

    def version(self) -> Content:
        """`/version`: gitVersion and friends."""
        return self._request("GET", "/version", attempt="read the server's version")

    def get(self, key: ObjectKey) -> Content | None:
        """The object, or None when it (or its namespace) does not exist.

        Raises CrdNotInstalled for a kind not served.
        """
        try:
            return self._request("GET", _path(key), attempt=f"read {key}")
        except NotFound:
            return None

    def list(self, kind: Kind, *, namespace: str = "", labels: Mapping[str, str] | None = None) -> list[Content]:
        """All objects of a kind, page by page, in one namespace or ("") in all; `labels` must all be equal."""
        query = {"limit": str(_PAGE)}
        if labels:
            query["labelSelector"] = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        return list(self._pages(kind, namespace, query))

    def _pages(self, kind: Kind, namespace: str, query: dict[str, str]) -> Iterator[Content]:
        path, attempt = _collection(kind, namespace), f"list {kind.plural}" + (f" in {namespace}" if namespace else "")
        type_fields = {"apiVersion": kind.api_version, "kind": kind.kind}  # Lists of built-in kinds leave them out.
        token = ""
        while True:
            page = self._request("GET", path, query | ({"continue": token} if token else {}), attempt=attempt)
            for item in page.get("items") or []:
                yield type_fields | item
            token = page["metadata"].get("continue", "")
            if not token:
                return

    def create(self, content: Mapping[str, Any]) -> Content:
        """POST, for objects that we do not apply (a Lease). Raises AlreadyExists."""
        key = _key_of(content)
        path = _collection(_ADDRESSABLE[key.group, key.kind], key.namespace)
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        return self._request("POST", path, query, attempt=f"create {key}", body=content)

    def review_token(self, token: str, audiences: Sequence[str]) -> Content:
        """What the server knows of somebody's bearer token: the status of a TokenReview. Nothing is stored."""
        body = {
            "apiVersion": TOKEN_REVIEW.api_version,
            "kind": TOKEN_REVIEW.kind,
            "spec": {"token": token, "audiences": list(audiences)},
        }
        answer = self._request(
            "POST",
            _collection(TOKEN_REVIEW, ""),
            attempt="review a bearer token",
            body=body,
            secrets=frozenset({token}),
        )
        status: Content = answer["status"]
        return status

    def apply(
        self,
        content: Mapping[str, Any],
        *,
        uid: str = "",
        resource_version: str = "",
        force: bool = False,
        dry_run: bool = False,
    ) -> ApplyAnswer:
        """Server-side apply under our field manager; `uid` and `resource_version` travel in the body as preconditions.

        Without them, an absent object is created. Raises Modified, UidMismatch, Conflict (never with `force`), Invalid.
        """
        key = _key_of(content)
        preconditions = {name: value for name, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
        body = {**content, "metadata": {**content["metadata"], **preconditions}}
        query = {
            "fieldManager": FIELD_MANAGER,
            "fieldValidation": "Strict",
            "force": str(force).lower(),
            **_dry_run(dry_run),
        }
        attempt = f"{'try to apply' if dry_run else 'apply'} {key}"
        status, answer = self._send("PATCH", _path(key), query, attempt=attempt, body=body, media="apply-patch+yaml")
        return ApplyAnswer(answer, created=status == 201)

    def apply_text(self, key: ObjectKey, text: bytes) -> ApplyAnswer:
        """Server-side apply of YAML as it is in a file, ours to own: the server reads it."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "force": "true"}
        status, answer = self._send(
            "PATCH", _path(key), query, attempt=f"apply {key}", body=text, media="apply-patch+yaml"
        )
        return ApplyAnswer(answer, created=status == 201)

    def merge_patch(self, key: ObjectKey, patch: Mapping[str, Any], *, dry_run: bool = False) -> Content:
        """RFC 7386: null removes. Put `metadata.uid` and `metadata.resourceVersion` into the patch as preconditions."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", **_dry_run(dry_run)}
        return self._request("PATCH", _path(key), query, attempt=f"patch {key}", body=patch, media="merge-patch+json")

    def patch_status(self, key: ObjectKey, status: Mapping[str, Any], *, uid: str) -> Content:
        """Merge `status` into the status subresource of the object with this uid."""
        path, query = f"{_path(key)}/status", {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        patch = {"metadata": {"uid": uid}, "status": status}
        return self._request(
            "PATCH", path, query, attempt=f"write the status of {key}", body=patch, media="merge-patch+json"
        )

    def delete(self, key: ObjectKey, *, uid: str, resource_version: str, dry_run: bool = False) -> None:
        """Delete in the foreground: the object goes when its dependents are gone.

        Raises UidMismatch, Modified, NotFound.
        """
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
            "propagationPolicy": "Foreground",
        } | ({"dryRun": ["All"]} if dry_run else {})
        self._request("DELETE", _path(key), attempt=f"delete {key}", body=body)

    def _request(self, method: str, path: str, query: Mapping[str, str] | None = None, **rest: Any) -> Content:
        return self._send(method, path, query or {}, **rest)[1]

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        attempt: str,
        body: Mapping[str, Any] | bytes | None = None,
        media: str = "json",
        secrets: frozenset[str] = frozenset(),
    ) -> tuple[int, Content]:
        """`secrets`: those in `body` that are not to be recognised as such by their place."""
        url = f"{self._session.host}{path}" + (f"?{urlencode(query)}" if query else "")
        data = (
            body
            if body is None or isinstance(body, bytes)
            else orjson.dumps(body, option=orjson.OPT_PASSTHROUGH_DATACLASS)
        )
        headers = {"accept": "application/json", "content-type": f"application/{media}"}
        answer = self._answer(method, url, data, headers, attempt)
        if answer.status >= 400:
            found = secrets | secrets_in({} if body is None or isinstance(body, bytes) else body)
            raise api_error(
                answer.status, answer.data, attempt=attempt, scrub=lambda text: self._masker.scrub(text, found)
            )
        try:
            return answer.status, orjson.loads(answer.data)
        except orjson.JSONDecodeError as error:
            raise ServerFault(
                f"Cannot {attempt}: {self.server} does not answer like a Kubernetes API server (HTTP {answer.status}). "
                "Check server in the kubeconfig; a proxy may stand in between."
            ) from error

    def _answer(
        self, method: str, url: str, data: bytes | None, headers: Mapping[str, str], attempt: str
    ) -> urllib3.BaseHTTPResponse:
        """One answer. Asked again are requests that the server did not begin (429), and reads that broke off."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                answer = self._session.pool.request(
                    method,
                    url,
                    body=data,
                    headers={**headers, **self._session.headers()},
                    timeout=_TIMEOUT,
                    retries=False,
                    redirect=False,
                )
            except urllib3.exceptions.ProtocolError as error:
                if method != "GET" or not left:
                    raise self._unreachable(error, attempt) from error
                time.sleep(0.1)
                continue
            except urllib3.exceptions.HTTPError as error:
                raise self._unreachable(error, attempt) from error
            if answer.status != 429 or not left:
                return answer
            time.sleep(_patience(answer.headers.get("retry-after", "")))
        raise AssertionError("the last attempt returns or raises")

    def _unreachable(self, error: urllib3.exceptions.HTTPError, attempt: str) -> ClusterError:
        reason = self._masker.scrub(str(error)).rpartition(": ")[2] or type(error).__name__
        where = f"Cannot {attempt}: the API server {self.server}"
        match error:
            case urllib3.exceptions.SSLError():
                return Unreachable(
                    f"{where} shows a certificate that we cannot trust ({reason}). "
                    "Check certificate-authority and server in the kubeconfig."
                )
            # A kind of TimeoutError in urllib3, and none: nobody listens there, or the name is unknown.
            case urllib3.exceptions.TimeoutError() if not isinstance(error, urllib3.exceptions.NewConnectionError):
                return Unreachable(f"{where} does not answer in time. Check the network, then try again.")
            case _:
                return Unreachable(
                    f"{where} cannot be reached ({reason}). Is it running, and is --context the right one?"
                )


def _patience(retry_after: str) -> float:
    """Seconds to wait after a 429."""
    return min(float(retry_after), _LONGEST_WAIT_SECONDS) if retry_after.isdigit() else 1.0


def _dry_run(wanted: bool) -> dict[str, str]:
    return {"dryRun": "All"} if wanted else {}


def _key_of(content: Mapping[str, Any]) -> ObjectKey:
    kind = _ADDRESSABLE[content["apiVersion"].rpartition("/")[0], content["kind"]]
    metadata = content["metadata"]
    return ObjectKey(kind.group, kind.kind, metadata["namespace"] if kind.namespaced else "", metadata["name"])


def _collection(kind: Kind, namespace: str) -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/{namespace}/{kind.plural}" if kind.namespaced and namespace else f"{root}/{kind.plural}"


def _path(key: ObjectKey) -> str:
    return f"{_collection(_ADDRESSABLE[key.group, key.kind], key.namespace)}/{key.name}"
