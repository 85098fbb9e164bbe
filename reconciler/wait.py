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
from reconciler.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from diff.action import Action
    from reconciler.cluster_client import ClusterClient

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
class Pending:
    """One wait: what it was last told, and since when its object has been ready without a break."""

    action: Action
    deadline: float
    """On the same clock as the moments given to `ended`."""
    ready_since: float | None = None
    message: str = ""

    def ended(self, assessment: Assessment, moment: float) -> Ending | None:
        """How the wait ends with this assessment, None when it goes on."""
        if assessment.state is ReadinessState.FAILED:
            return Ending.FAILED
        if assessment.state is ReadinessState.PROGRESSING:
            self.ready_since = None
            return Ending.FAILED if moment >= self.deadline else None
        self.ready_since = moment if self.ready_since is None else self.ready_since
        is_gone = self.action.readiness.rule is ReadinessRule.GONE  # What is gone stays gone.
        has_held = moment - self.ready_since >= self.action.readiness.hold_seconds
        return Ending.READY if is_gone or has_held else None


def await_ready(
    client: ClusterClient,
    actions: Iterable[Action],
    *,
    waiting: Callable[[Action, str], None],
    goes_on: Callable[[], bool],
) -> Iterator[Settled]:
    """Poll until all have settled, or until `goes_on` says no. `waiting` is told each new reason to wait."""
    start = time.monotonic()
    pending = [Pending(action, start + action.readiness.timeout_seconds) for action in actions]
    delay = _FIRST_POLL_SECONDS
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        while pending:
            assessments = list(pool.map(lambda wait: _assessed(client, wait.action), pending))
            going_on = []
            for wait, assessment in zip(pending, assessments, strict=True):
                moment = time.monotonic()
                ending = wait.ended(assessment, moment)
                if ending is None:
                    going_on.append(wait)
                    _tell(wait, assessment, waiting)
                else:
                    yield Settled(wait.action, ending, _words(client, wait, assessment, ending, moment))
            pending = going_on
            if not goes_on():
                yield from (Settled(wait.action, Ending.ABANDONED, wait.message) for wait in pending)
                return
            if pending:
                time.sleep(delay)
                delay = _POLL_SECONDS


def _assessed(client: ClusterClient, action: Action) -> Assessment:
    """One look. A server that does not answer for a while costs patience and nothing else: the deadline decides."""
    try:
        return assess(action.readiness.rule, client.get(action.key))
    except ClusterError as error:
        return Assessment(ReadinessState.PROGRESSING, str(error))


def _tell(wait: Pending, assessment: Assessment, waiting: Callable[[Action, str], None]) -> None:
    is_holding = assessment.state is ReadinessState.READY
    message = f"ready, must stay so for {wait.action.readiness.hold_seconds:g} s" if is_holding else assessment.message
    if message != wait.message:
        wait.message = message
        waiting(wait.action, message)


def _words(client: ClusterClient, wait: Pending, assessment: Assessment, ending: Ending, moment: float) -> str:
    if ending is Ending.READY:
        return assessment.message
    is_late = moment >= wait.deadline
    timeout = f"not ready after {wait.action.readiness.timeout_seconds:.0f} seconds" if is_late else ""
    pods = _pods_words(client, wait.action) if wait.action.readiness.rule in _WORKLOADS else ""
    return "; ".join(filter(None, [timeout, assessment.message, pods]))


def _pods_words(client: ClusterClient, action: Action) -> str:
    """What the pods of a workload say themselves; "" when they cannot be asked."""
    try:
        content = client.get(action.key)
        labels = content["spec"]["selector"].get("matchLabels") or {} if content else {}
        return pods_message(client.list(POD, namespace=action.key.namespace, labels=labels)) if labels else ""
    except ClusterError:
        return ""  # Being told why is a courtesy; that it is not ready is known without.
