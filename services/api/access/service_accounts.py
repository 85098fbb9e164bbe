"""Kubernetes' ServiceAccounts as callers: the API server says whose a token is, a setting says what they may do.

In: a bearer token that looks like a JWT. Out: a `Caller`; 401 for a token that is not meant for us, 503 while nobody
can tell. A review counts for a minute, a refusal for five seconds, under the digest of the token. Never: a token kept,
a signature checked here, or an answer awaited by more than a few threads.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from reconciler.errors import ClusterError
from reconciler.settings import SettingsError
from services.api.access.refusals import invalid_token
from services.api.access.token_text import digest_of
from services.api.http.operation import Caller, Scope
from services.api.http.problems import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.cluster_client import ClusterClient

DEFAULT_AUDIENCE = "orchest-api"
ACCEPTED_FOR = timedelta(seconds=60)
REFUSED_FOR = timedelta(seconds=5)
AWAY_FOR = timedelta(seconds=5)
"""An API server that did not answer is not asked again for so long: who waits for it holds a thread."""
MOST_KNOWN = 10_000
_AT_ONCE = 4
_PATIENCE_SECONDS = 2.0
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_MOST_CHARACTERS = 16_384
_ACCOUNT = re.compile(r"(?P<namespace>[a-z0-9-]{1,63})/(?P<name>[a-z0-9.-]{1,253})=(?P<scopes>[a-z+]+)")
_COMPONENTS = {
    "orchest-webserver": frozenset({Scope.ADMIN}),
    "celery-worker": frozenset({Scope.WRITE}),
    "node-agent": frozenset({Scope.AGENT}),
}
_FORM = (
    "Write NAMESPACE/NAME=SCOPE for each ServiceAccount, several by commas, several scopes by +: "
    "orchest/orchest-webserver=admin,ci/robot=write"
)
_log = logging.getLogger("services.api.access")


def parse_accounts(text: str, namespace: str) -> Mapping[str, frozenset[Scope]]:
    """What `ORCHEST_API_SERVICE_ACCOUNTS` says, by the name that Kubernetes gives the account as a user.

    "": the components of the platform in its own namespace. Raises SettingsError.
    """
    if not text.strip():
        return {_user(namespace, name): scopes for name, scopes in _COMPONENTS.items()}
    return dict(_account(entry) for entry in re.findall(r"[^\s,]+", text))


def looks_like_jwt(text: str) -> bool:
    return len(text) <= _MOST_CHARACTERS and _JWT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class _Review:
    caller: Caller | None
    """None: refused."""
    until: datetime


class ServiceAccounts:
    """Safe to share between threads."""

    def __init__(
        self, client: ClusterClient, scopes: Mapping[str, frozenset[Scope]], audience: str = DEFAULT_AUDIENCE
    ) -> None:
        """`scopes`: see `parse_accounts`. An account that is not in it is known, and may do nothing."""
        self._client = client
        self._scopes = scopes
        self._audience = audience
        self._reviews: OrderedDict[bytes, _Review] = OrderedDict()
        self._away_until: datetime | None = None
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def admit(self, token: str, now: datetime) -> Caller:
        """Raises ApiError 401, 503."""
        digest = digest_of(token)
        with self._lock:
            review = self._reviews.get(digest)
            is_away = self._away_until is not None and now < self._away_until
        if review is None or now >= review.until:
            if is_away:
                raise _nobody_knows()
            review = self._review(token, now)
            self._remember(digest, review)
        if review.caller is None:
            raise invalid_token()
        return review.caller

    def _review(self, token: str, now: datetime) -> _Review:
        if not self._slots.acquire(timeout=_PATIENCE_SECONDS):
            raise _nobody_knows()
        try:
            status = self._client.review_token(token, [self._audience])
        except ClusterError as error:
            _log.warning("ServiceAccounts cannot be told: %s", error)
            with self._lock:
                self._away_until = now + AWAY_FOR
            raise _nobody_knows() from None
        finally:
            self._slots.release()
        caller = self._caller(status)
        return _Review(caller, now + (REFUSED_FOR if caller is None else ACCEPTED_FOR))

    def _caller(self, status: Mapping[str, Any]) -> Caller | None:
        """Of a review. A server that knows nothing of audiences names none, and its word does not count."""
        if not status.get("authenticated") or self._audience not in (status.get("audiences") or ()):
            return None
        user = status["user"]["username"]
        return Caller(user, self._scopes.get(user, frozenset()))

    def _remember(self, digest: bytes, review: _Review) -> None:
        with self._lock:
            self._reviews[digest] = review
            self._reviews.move_to_end(digest)
            if len(self._reviews) > MOST_KNOWN:
                self._reviews.popitem(last=False)


def _account(entry: str) -> tuple[str, frozenset[Scope]]:
    found = _ACCOUNT.fullmatch(entry)
    words = found["scopes"].split("+") if found else []
    if not found or not set(words) <= set(Scope):
        raise SettingsError(
            f"ORCHEST_API_SERVICE_ACCOUNTS: {entry!r} gives nobody a scope. {_FORM}. Scopes: {', '.join(Scope)}."
        )
    return _user(found["namespace"], found["name"]), frozenset(map(Scope, words))


def _user(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def _nobody_knows() -> ApiError:
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Nobody can say at this moment whether this ServiceAccount token is valid: the Kubernetes API server does not "
        "tell. Try again; the operator of this API finds the reason in its log.",
        headers={"Retry-After": f"{AWAY_FOR.total_seconds():.0f}"},
    )
