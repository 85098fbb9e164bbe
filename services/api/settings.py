"""Every knob of the API once: what the environment says, typed, with its default and unit.

In: environment variables, passed in. Out: a frozen `ApiSettings`. Never: what the command line shares with the API,
which is in `reconciler.settings`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.settings import SettingsError
from services.api.access.service_accounts import DEFAULT_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ApiSettings:
    bind: str = "127.0.0.1:8000"
    """`ORCHEST_API_BIND`: `ADDRESS:PORT`, or `unix:PATH`."""
    workers: int = 1
    """`ORCHEST_API_WORKERS`: processes."""
    threads: int = 16
    """`ORCHEST_API_THREADS`: of each process, and connections of each to the database."""
    connections: int = 1000
    """`ORCHEST_API_CONNECTIONS`: of clients at once, of each process; more are answered 503."""
    requests_a_minute: int = 6000
    """`ORCHEST_API_REQUESTS_A_MINUTE`: of one token, or of one address without a token, in each process."""
    grace_seconds: int = 25
    """`ORCHEST_API_GRACE_SECONDS`: how long requests may go on after SIGTERM."""
    trusted_proxies: tuple[str, ...] = ()
    """`ORCHEST_API_TRUSTED_PROXIES`: addresses and networks whose `X-Forwarded-For` and `-Proto` are believed."""
    has_open_sessions: bool = True
    """`ORCHEST_API_OPEN_SESSIONS=0` turns it off: sessions are answered without a token inside the cluster, as the
    original's SDK asks for them.
    """
    is_cloud: bool = False
    """`CLOUD=true`, as the original's: somebody hosts this for its users, who cannot change some of the settings."""
    namespace: str = "orchest"
    """`ORCHEST_NAMESPACE`: the one that the platform itself runs in."""
    service_accounts: str = ""
    """`ORCHEST_API_SERVICE_ACCOUNTS`: what ServiceAccounts may do; "": those of the platform, in `namespace`."""
    audience: str = DEFAULT_AUDIENCE
    """`ORCHEST_API_AUDIENCE`: whom a ServiceAccount's token must be meant for."""
    asks_kubernetes: bool = False
    """Whose a token is: inside a cluster (`KUBERNETES_SERVICE_HOST`), or when `service_accounts` are given."""
    metrics_folder: Path | None = None
    """`PROMETHEUS_MULTIPROC_DIR`: where several processes add up what they count; set by `orchest api` itself."""


def load_api_settings(environment: Mapping[str, str]) -> ApiSettings:
    """Usually of `os.environ`. Raises SettingsError for what is no number, or too small or large a one."""
    default = ApiSettings()
    folder = environment.get("PROMETHEUS_MULTIPROC_DIR", "")
    accounts = environment.get("ORCHEST_API_SERVICE_ACCOUNTS", "")
    return ApiSettings(
        bind=environment.get("ORCHEST_API_BIND") or default.bind,
        workers=_number(environment, "ORCHEST_API_WORKERS", default.workers, 64),
        threads=_number(environment, "ORCHEST_API_THREADS", default.threads, 256),
        connections=_number(environment, "ORCHEST_API_CONNECTIONS", default.connections, 100_000),
        requests_a_minute=_number(
            environment, "ORCHEST_API_REQUESTS_A_MINUTE", default.requests_a_minute, 1_000_000_000
        ),
        grace_seconds=_number(environment, "ORCHEST_API_GRACE_SECONDS", default.grace_seconds, 3600),
        trusted_proxies=tuple(re.findall(r"[^\s,]+", environment.get("ORCHEST_API_TRUSTED_PROXIES", ""))),
        has_open_sessions=environment.get("ORCHEST_API_OPEN_SESSIONS", "") != "0",
        is_cloud=environment.get("CLOUD", "").lower() == "true",
        namespace=environment.get("ORCHEST_NAMESPACE") or default.namespace,
        service_accounts=accounts,
        audience=environment.get("ORCHEST_API_AUDIENCE") or default.audience,
        asks_kubernetes=bool(accounts.strip() or environment.get("KUBERNETES_SERVICE_HOST")),
        metrics_folder=Path(folder) if folder else None,
    )


def _number(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) <= most:
        raise SettingsError(f"{name}: a whole number from 1 to {most} is needed, not {text!r}.")
    return int(text)
