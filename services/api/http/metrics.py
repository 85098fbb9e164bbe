"""What the API counts, as Prometheus metrics.

In: what happened. Out: the text that Prometheus reads. Never: a path, an address or a name in a label: there is no end
of them. With several processes each writes into files of one folder, and whichever is asked adds all of them up.
"""

from __future__ import annotations

from http import HTTPMethod
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client.registry import Collector

    from services.api.http.access_log import Served

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset({*HTTPMethod, "WEBSOCKET"})


class Metrics:
    """Of one process. `folder`: shared with others of the same server; prometheus_client, which reads
    PROMETHEUS_MULTIPROC_DIR when it is first imported, must have found the same there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "orchest_api_requests",
            "Requests that are over; status 0: the caller went away before there was an answer.",
            ["operation", "method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "orchest_api_request_seconds",
            "Duration of a request, until its last byte was given away.",
            ["operation"],
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._in_flight = Gauge(
            "orchest_api_requests_in_flight",
            "Requests under way, streams and websockets among them.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._wait = Histogram(
            "orchest_api_work_wait_seconds",
            "How long a unit of work waited for a thread.",
            registry=self._registry,
            buckets=_SECONDS,
        )

    def began(self) -> None:
        self._in_flight.inc()

    def ended(self, served: Served) -> None:
        self._in_flight.dec()
        method = served.method if served.method in _METHODS else "other"
        self._requests.labels(served.operation, method, str(served.status)).inc()
        self._seconds.labels(served.operation).observe(served.seconds)

    def waited(self, seconds: float) -> None:
        self._wait.observe(seconds)

    def text(self, *others: Collector) -> bytes:
        """`others`: what is read anew each time, by whichever process is asked."""
        asked = CollectorRegistry()
        for other in others:
            asked.register(other)
        return generate_latest(self._counted()) + generate_latest(asked)

    def _counted(self) -> CollectorRegistry:
        if self._folder is None:
            return self._registry
        all_processes = CollectorRegistry()
        MultiProcessCollector(all_processes, str(self._folder))  # type: ignore[no-untyped-call]
        return all_processes
