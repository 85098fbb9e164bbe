"""Waits until written objects are ready, and says of those that are not what holds them up.

In: actions with their readiness rules. Out: one `Settled` per action, as each settles. An object is ready when its
rule has said so for `hold_seconds` without a break: pods that crash after a second were never ready. Never: a write.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from diff.action import ReadinessRule
from diff.readiness import Assessment, ReadinessState, assess, pods_message
from reconciler.cluster_client import CONNECTIONS, POD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from threading import Event

    from diff.action import Action
    from reconciler.cluster_client import ClusterClient, Content

_FIRST_POLL_SECONDS = 0.2
_POLL_SECONDS = 0.5
_WORKLOADS = {ReadinessRule.DEPLOYMENT, ReadinessRule.DAEMON_SET}


class Ending(StrEnum):
    READY = "ready"
    FAILED = "failed"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Settled:
    action: Action
    ending: Ending
    message: str


@dataclass(slots=True)
class _Pending:
    action: Action
    deadline: float
    """On the monotonic clock."""
    ready_since: float | None = None
    message: str = ""

    def settled(self, assessment: Assessment, moment: float) -> Ending | None:
        """How the wait ended with this assessment, None when it goes on."""
        if assessment.state is ReadinessState.FAILED:
            return Ending.FAILED
        if assessment.state is ReadinessState.PROGRESSING:
            self.ready_since = None
            return Ending.FAILED if moment >= self.deadline else None
        self.ready_since = moment if self.ready_since is None else self.ready_since
        held = moment - self.ready_since
        gone = self.action.readiness.rule is ReadinessRule.GONE  # What is gone stays gone.
        return Ending.READY if gone or held >= self.action.readiness.hold_seconds else None


def await_ready(
    client: ClusterClient,
    actions: Iterable[Action],
    *,
    waiting: Callable[[Action, str], None],
    stopping: Event,
) -> Iterator[Settled]:
    """Poll until all have settled, or `stopping` is set. `waiting` is told each new reason to wait."""
    start = time.monotonic()
    pending = [_Pending(action, start + action.readiness.timeout_seconds) for action in actions]
    delay = _FIRST_POLL_SECONDS
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        while pending:
            contents = list(pool.map(lambda wait: client.get(wait.action.key), pending))
            settled = [
                found
                for wait, content in zip(pending, contents, strict=True)
                if (found := _look(client, wait, content, waiting)) is not None
            ]
            yield from settled
            ended = {found.action.key for found in settled}
            pending = [wait for wait in pending if wait.action.key not in ended]
            if pending and stopping.wait(delay):
                yield from (Settled(wait.action, Ending.ABANDONED, wait.message) for wait in pending)
                return
            delay = _POLL_SECONDS


def _look(
    client: ClusterClient, wait: _Pending, content: Content | None, waiting: Callable[[Action, str], None]
) -> Settled | None:
    assessment, moment = assess(wait.action.readiness.rule, content), time.monotonic()
    match wait.settled(assessment, moment):
        case Ending.READY:
            return Settled(wait.action, Ending.READY, assessment.message)
        case Ending.FAILED:
            return Settled(
                wait.action,
                Ending.FAILED,
                _reason(client, wait, assessment, content, timed_out=moment >= wait.deadline),
            )
        case _:
            if assessment.message != wait.message:
                wait.message = assessment.message
                waiting(wait.action, assessment.message)
            return None


def _reason(
    client: ClusterClient, wait: _Pending, assessment: Assessment, content: Content | None, *, timed_out: bool
) -> str:
    parts = [f"not ready after {wait.action.readiness.timeout_seconds:.0f} seconds"] if timed_out else []
    parts.append(assessment.message)
    if content is not None and wait.action.readiness.rule in _WORKLOADS:
        labels = content["spec"]["selector"].get("matchLabels") or {}
        pods = client.list(POD, namespace=wait.action.key.namespace, labels=labels)
        parts.append(pods_message(pods))
    return "; ".join(filter(None, parts))
