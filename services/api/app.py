"""The API put together by hand. Start reading here.

`create_app` takes its parts and wires them; it reads nothing. `get_app` is what gunicorn calls: it reads the settings
and makes the parts.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import falcon.asgi

from desired_state.masking import Masker
from outbox.analytics import Backend
from outbox.database import Database
from outbox.delivery.guard import Guard, parse_networks
from outbox.hint import Hinter
from outbox.key_ring import load_key_ring
from outbox.log import log_to_stderr
from outbox.redis_server import socket_url
from outbox.schema import migrate
from outbox.subscribers.webhook import Permission
from reconciler.cluster_client import ClusterClient, connect
from reconciler.settings import load_settings, masking_key
from services.api.access.gatekeeper import TokenGatekeeper
from services.api.access.service_accounts import ServiceAccounts, parse_accounts
from services.api.domain.desk import desk_of
from services.api.domain.settings import Site
from services.api.http.access_log import AccessLog, Introduction
from services.api.http.errors import install_errors
from services.api.http.idempotency import Idempotency
from services.api.http.lifespan import Lifespan
from services.api.http.limits import RateLimit
from services.api.http.metrics import Metrics
from services.api.http.operation import Streams
from services.api.http.request_id import RequestIds
from services.api.http.resource import Machinery, Resource
from services.api.http.shutdown import Shutdown
from services.api.http.work import SPARE_CONNECTIONS, Work
from services.api.resources import event_stream
from services.api.resources.analytics import AnalyticsRelay
from services.api.resources.clusters import Clusters
from services.api.resources.deliveries import Deliveries
from services.api.resources.document import Document
from services.api.resources.environments import Environments
from services.api.resources.events import Events
from services.api.resources.health import Health
from services.api.resources.history import HistoryResource
from services.api.resources.jobs import Jobs
from services.api.resources.notifications import Notifications
from services.api.resources.operations import Operations
from services.api.resources.pings import Pings
from services.api.resources.pipelines import Pipelines
from services.api.resources.plans import Plans
from services.api.resources.projects import Projects
from services.api.resources.replays import Replays
from services.api.resources.sessions import Sessions
from services.api.resources.settings import Settings as OrchestSettings
from services.api.resources.tokens import Tokens
from services.api.resources.webhooks import Webhooks
from services.api.settings import load_api_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outbox.key_ring import KeyRing
    from reconciler.settings import Settings
    from services.api.domain.desk import ClusterDesk
    from services.api.http.access_log import Asgi
    from services.api.http.admission import Gatekeeper
    from services.api.http.operation import App, Operation
    from services.api.settings import ApiSettings

REQUESTS_A_MINUTE = 6_000


@dataclass(frozen=True, slots=True)
class Parts:
    """All that the API works with, opened; whoever opened it closes it."""

    database: Database
    """Migrated, opened with `threads` connections."""
    threads: int
    gatekeeper: Gatekeeper
    key_ring: KeyRing
    permission: Permission
    """What webhooks may be."""
    requests_a_minute: int = REQUESTS_A_MINUTE
    analytics: Backend = field(default_factory=Backend)
    is_cloud: bool = False
    """Whether somebody hosts this for its users, who then cannot change some of the settings."""
    clusters: ClusterDesk | None = None
    """None: this API manages no clusters."""
    has_open_sessions: bool = True
    """Whether user pods may ask for the services of their session without a token, as the original's SDK does."""
    shutdown: Shutdown = field(default_factory=Shutdown)
    metrics: Metrics = field(default_factory=Metrics)


def operations(parts: Parts) -> tuple[Operation, ...]:
    """Everything that can be asked of the API, in the order of its document."""
    found: tuple[Operation, ...] = (
        *Projects(parts.key_ring).operations(),
        *Pipelines(parts.key_ring).operations(),
        *Environments().operations(),
        *Jobs(parts.key_ring).operations(),
        *Sessions(are_open=parts.has_open_sessions).operations(),
        *OrchestSettings(Site(parts.analytics, parts.is_cloud)).operations(),
        *Notifications().operations(),
        *Webhooks(parts.key_ring, parts.permission).operations(),
        *Pings(parts.database, parts.key_ring, parts.permission).operations(),
        *Deliveries().operations(),
        *Replays().operations(),
        *Clusters(parts.clusters).operations(),
        *Plans(parts.clusters).operations(),
        *Operations().operations(),
        *HistoryResource().operations(),
        *Events().operations(),
        event_stream.OPERATION,
        *AnalyticsRelay().operations(),
        *Tokens(parts.gatekeeper).operations(),
        *Health(parts.database, parts.shutdown, parts.metrics).operations(),
    )
    return (*found, *Document(found).operations())


def create_app(parts: Parts) -> App:
    app = falcon.asgi.App(middleware=[RequestIds()])
    app.add_middleware(Introduction())
    app.req_options.strip_url_path_trailing_slash = True
    install_errors(app)
    machinery = Machinery(
        work=Work(parts.database, parts.threads, parts.metrics.waited),
        gatekeeper=parts.gatekeeper,
        idempotency=Idempotency(parts.key_ring),
        rate_limit=RateLimit(parts.requests_a_minute),
        shutdown=parts.shutdown,
    )
    by_path = sorted(operations(parts), key=lambda operation: operation.path)
    for path, group in groupby(by_path, key=lambda operation: operation.path.rstrip("/")):
        app.add_route(path, _resource(list(group), machinery))
    return app


def _resource(operations_there: Sequence[Operation], machinery: Machinery) -> object:
    first = operations_there[0].does
    return first.resource(machinery) if isinstance(first, Streams) else Resource(operations_there, machinery)


def get_app() -> Asgi:
    """`gunicorn -k services.api.process.Process "services.api.app:get_app()"`; `orchest api` does the same.

    Raises DatabaseError, KeyRingError, NetworkError, SettingsError.
    """
    settings = load_settings(os.environ)
    with closing(Database(settings.database_url)) as database:
        migrate(database)
    log_to_stderr()
    return served(settings, load_api_settings(os.environ))


def served(settings: Settings, api: ApiSettings) -> Asgi:
    """The application as a server runs it, on a database that is migrated: with its log, and closed at the end."""
    hinter = Hinter(lambda: settings.redis_url or socket_url(settings.redis_folder))
    database = Database(settings.database_url, hinter.hint, api.threads + SPARE_CONNECTIONS)
    gatekeeper = TokenGatekeeper(database, _accounts(settings, api))
    key_ring = load_key_ring(settings.secret_keys_text, settings.secret_keys_file, database)
    clusters = desk_of(database, key_ring, settings)
    parts = Parts(
        database=database,
        threads=api.threads,
        gatekeeper=gatekeeper,
        key_ring=key_ring,
        permission=Permission(Guard(parse_networks(settings.allowed_networks)), settings.allow_insecure_tls),
        requests_a_minute=api.requests_a_minute,
        analytics=Backend(settings.analytics_url, settings.analytics_key),
        is_cloud=api.is_cloud,
        has_open_sessions=api.has_open_sessions,
        clusters=clusters,
        metrics=Metrics(api.metrics_folder),
    )
    app = create_app(parts)
    app.add_middleware(Lifespan(parts.shutdown, (clusters.close, gatekeeper.close, database.close)))
    return AccessLog(app, parts.metrics)


def _accounts(settings: Settings, api: ApiSettings) -> ServiceAccounts | None:
    """None where there is no Kubernetes to ask. Raises BadKubeconfig, SettingsError."""
    if not api.asks_kubernetes:
        return None
    client = ClusterClient(connect(), Masker(masking_key(settings).key))
    return ServiceAccounts(client, parse_accounts(api.service_accounts, api.namespace), api.audience)
