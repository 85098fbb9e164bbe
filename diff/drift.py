"""What to do about fields that somebody else changed: the drift mode and the ignore rules, both annotations of the
OrchestCluster.

`orchest.io/drift` is `correct` (the default), `warn` or `observe`. `orchest.io/ignore-drift` lists fields that others
may change, separated by commas or white space: a JSON pointer, with `Kind/name:` before it when it is meant for one
object only, as in `Deployment/orchest-api:/spec/replicas`. In a pointer an entry of a keyed list is named by its merge
key: `.../env/LEVEL`.

A field that is left to others is not sent either: server-side apply would take it back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from diff.paths import path_at, segment, segments_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Json, ObjectKey
    from diff.paths import Path

MODE_ANNOTATION = "orchest.io/drift"
IGNORE_ANNOTATION = "orchest.io/ignore-drift"


class DriftMode(StrEnum):
    CORRECT = "correct"
    WARN = "warn"
    """Left as it is, with a warning in the plan."""
    OBSERVE = "observe"
    """Left as it is and shown."""


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    kind: str
    """"" for every object."""
    name: str
    pointer: tuple[str, ...]

    def covers(self, key: ObjectKey, path: Path) -> bool:
        """Whether `path` is the field named or lies below it."""
        if self.kind and (self.kind, self.name) != (key.kind, key.name):
            return False
        return tuple(segment(step) for step in path[: len(self.pointer)]) == self.pointer


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    mode: DriftMode
    rules: tuple[IgnoreRule, ...]

    def leaves_alone(self, key: ObjectKey, path: Path) -> bool:
        return self.mode is not DriftMode.CORRECT or any(rule.covers(key, path) for rule in self.rules)


def drift_policy(cluster: Mapping[str, Json]) -> DriftPolicy:
    """Read from the OrchestCluster as Git has it. Raises ValueError for an unknown mode or a rule without a pointer."""
    annotations = cluster["metadata"].get("annotations") or {}
    mode = DriftMode(annotations.get(MODE_ANNOTATION) or DriftMode.CORRECT)
    texts = re.split(r"[,\s]+", annotations.get(IGNORE_ANNOTATION) or "")
    return DriftPolicy(mode, tuple(parse_rule(text) for text in texts if text))


def parse_rule(text: str) -> IgnoreRule:
    """`[Kind/name:]/json/pointer`. Raises ValueError when there is no pointer."""
    target, separator, pointer = text.partition(":/")
    if not separator:
        target, pointer = "", text.removeprefix("/") if text.startswith("/") else ""
    kind, _, name = target.partition("/")
    if not pointer or bool(kind) != bool(name):
        raise ValueError(
            f'{text!r} is no ignore rule: write "/spec/replicas" or "Deployment/orchest-api:/spec/replicas"'
        )
    return IgnoreRule(kind, name, segments_of(pointer))


def ignored_paths(policy: DriftPolicy, key: ObjectKey, content: Mapping[str, Json]) -> tuple[Path, ...]:
    """Where the ignore rules for this object point to, as far as `content` has something there."""
    if not policy.rules:
        return ()
    rules = (rule for rule in policy.rules if not rule.kind or (rule.kind, rule.name) == (key.kind, key.name))
    return tuple(path for rule in rules if (path := path_at(content, rule.pointer)))
