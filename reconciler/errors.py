"""Everything that can go wrong for a reason a person can mend, and the one translation of API server answers into it.

In: HTTP status and body of an answer. Out: an `OrchestError` whose text says what, where and the mend,
and whose `exit_code` is what `orchest` returns. Never: IO, or a guess at what the caller wanted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable


class OrchestError(Exception):
    """Base of all errors that end as one message and an exit code, never as a traceback."""

    exit_code: ClassVar[int] = 1


class Refused(OrchestError):
    """A safety rule said no; nothing was written."""

    exit_code = 5


class Stale(OrchestError):
    """The world is not the one that the plan was made for."""

    exit_code = 3


class LeaseHeld(OrchestError):
    """Another apply works on the same cluster at this moment."""


class LeaseLost(OrchestError):
    """Another apply took our Lease, because we could not renew it in time."""


class ClusterError(OrchestError):
    """Base of all that an API server, or the way to it, can answer."""


class BadKubeconfig(ClusterError):
    """No usable kubeconfig: file, context, user or credentials."""


class Unreachable(ClusterError):
    """No answer: name, network, TLS or timeout."""


class Unauthorised(ClusterError):
    """401: the server does not know who we are."""


class Forbidden(ClusterError):
    """403: the server knows who we are, and says no."""


class NotFound(ClusterError):
    """404 for an object, or for the namespace it should be in."""


class CrdNotInstalled(ClusterError):
    """404 without a Status: the server does not serve this kind at all."""


class AlreadyExists(ClusterError):
    """409 for a POST."""


class Modified(ClusterError):
    """409: the resourceVersion we sent is no longer current."""


class UidMismatch(ClusterError):
    """The object was deleted, or deleted and created again, since it was read."""


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """One field that another manager holds. `field` is the server's spelling: `.spec.replicas`."""

    manager: str
    field: str


class Conflict(ClusterError):
    """409 of a server-side apply: other managers hold fields that we would change."""

    exit_code = 4

    def __init__(self, message: str, fields: tuple[FieldConflict, ...]) -> None:
        super().__init__(message)
        self.fields = fields


class Invalid(ClusterError):
    """The server will never accept this object as it is (422, 400, or a 500 for content that fits no schema)."""


class AdmissionRefused(ClusterError):
    """A webhook, an admission policy or a quota said no."""


class Throttled(ClusterError):
    """429 that outlasted our patience."""


class ServerFault(ClusterError):
    """5xx: the server's own trouble."""


_MANAGER = re.compile(r'conflict with "(?P<manager>[^"]*)"')
_UNFIT = ("failed to create typed patch object", "failed to convert new object")
"""The server says 500 for content that fits no schema, and will say so for ever."""
_ADMISSION = ("admission webhook ", "ValidatingAdmissionPolicy ", "exceeded quota", "violates PodSecurity")


@dataclass(frozen=True, slots=True)
class _Cause:
    reason: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """The `Status` of an answer, its texts free of secrets."""

    reason: str
    message: str
    causes: tuple[_Cause, ...]


def api_error(status: int, body: bytes, *, attempt: str, scrub: Callable[[str], str]) -> ClusterError:
    """What an answer of 400 and above means.

    `attempt` names what was tried: `apply Deployment.apps/orchest/orchest-api`. `scrub` removes secrets from the
    server's texts.
    """
    answer = _answer(body, scrub)
    message = answer.message if answer else f"HTTP {status}"
    # No credentials at all: the kubeconfig names none, or its plugin brought none.
    if status == 401 or 'User "system:anonymous"' in message:
        return Unauthorised(
            f"Cannot {attempt}: the API server does not accept our credentials. "
            "They are missing, wrong or expired: log in again, or choose another --context."
        )
    if status == 404:
        return _missing(answer, attempt)
    if status == 429:
        return Throttled(f"Cannot {attempt}: the API server keeps asking us to slow down ({message}). Try again later.")
    if answer and status == 409:
        return _conflict(answer, attempt)
    if any(sign in message for sign in _ADMISSION):
        return AdmissionRefused(f"Cannot {attempt}: refused by the cluster's admission control: {message}")
    if answer and status == 403:
        return _forbidden(answer, attempt)
    if answer and (status in {400, 413, 415, 422} or any(sign in message for sign in _UNFIT)):
        return _invalid(answer, attempt)
    if "failed calling webhook" in message:
        return ServerFault(
            f"Cannot {attempt}: {message}. The webhook's own service does not answer: repair or remove it."
        )
    return ServerFault(f"Cannot {attempt}: the API server failed ({message}). Try again; if it stays so, see its log.")


def _answer(body: bytes, scrub: Callable[[str], str]) -> _Answer | None:
    """None for anything that is no `Status`: a plain "404 page not found", a proxy's HTML."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(answer, dict) or answer.get("kind") != "Status":
        return None
    causes = (answer.get("details") or {}).get("causes") or []
    return _Answer(
        reason=str(answer.get("reason", "")),
        message=scrub(str(answer.get("message", ""))),
        causes=tuple(
            _Cause(str(cause.get("reason", "")), str(cause.get("field", "")), scrub(str(cause.get("message", ""))))
            for cause in causes
        ),
    )


def _missing(answer: _Answer | None, attempt: str) -> ClusterError:
    if answer:
        return NotFound(f"Cannot {attempt}: {answer.message}.")
    if "OrchestCluster" in attempt:
        return CrdNotInstalled(
            f"Cannot {attempt}: the OrchestCluster CRD is not installed on this cluster. "
            "Install it: orchest install --crds"
        )
    return CrdNotInstalled(
        f"Cannot {attempt}: this API server does not serve that kind. Kubernetes 1.29 or newer is needed."
    )


def _conflict(answer: _Answer, attempt: str) -> ClusterError:
    fields = tuple(
        FieldConflict(found["manager"], cause.field)
        for cause in answer.causes
        if cause.reason == "FieldManagerConflict" and (found := _MANAGER.search(cause.message))
    )
    if fields:
        held = "; ".join(sorted({f"{conflict.field} by {conflict.manager}" for conflict in fields}))
        return Conflict(
            f"Cannot {attempt}: other field managers hold what we would change: {held}. "
            "Remove the field there or in Git, or take it over with --force-conflicts.",
            fields,
        )
    lowered = answer.message.lower()
    if any(sign in lowered for sign in ("uid mismatch", "uid in precondition", "uid in the precondition")):
        return UidMismatch(f"Cannot {attempt}: the object was deleted or created again meanwhile.")
    if answer.reason == "AlreadyExists":
        return AlreadyExists(f"Cannot {attempt}: it exists already.")
    return Modified(f"Cannot {attempt}: the object was changed meanwhile ({answer.message}).")


def _forbidden(answer: _Answer, attempt: str) -> ClusterError:
    if any(cause.reason == "NamespaceTerminating" for cause in answer.causes):
        return Forbidden(f"Cannot {attempt}: its namespace is being deleted. Wait until it is gone, then try again.")
    return Forbidden(
        f"Cannot {attempt}: not permitted: {answer.message}. Ask an administrator of this cluster for that right."
    )


def _invalid(answer: _Answer, attempt: str) -> ClusterError:
    if any(cause.field == "metadata.uid" for cause in answer.causes):
        return UidMismatch(f"Cannot {attempt}: the object was deleted and created again meanwhile.")
    listed = "; ".join(f"{cause.field}: {cause.message}" for cause in answer.causes)
    return Invalid(f"Cannot {attempt}: the API server refuses the object: {listed or answer.message}")
