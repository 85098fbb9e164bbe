"""One action, carried out on the API server under its precondition, or rehearsed there by a dry-run.

In: an action of a plan. Out: the object as written (None when deleted), or an `OrchestError`. Every write is preceded
by a fresh read that must show what the plan saw, and carries uid and resourceVersion of that read, so that nothing
happens between the two. Never: a decision about what should be done, or the order of actions.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from desired_state.masking import secrets_in
from desired_state.objects import FIELD_MANAGER, GROUP, UnknownValue
from diff.action import Precondition, Verb
from diff.known import has_unknown, known_values, resolve
from diff.precondition import seen_digest
from diff.removal import removal_patch
from diff.snapshot import Snapshot
from reconciler.errors import Conflict, Modified, NotFound, OrchestError, Stale, UidMismatch
from reconciler.generate import carried_over, generate, stands_for
from reconciler.observe import observed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from desired_state.masking import Masker
    from desired_state.objects import Generated, Json, ObjectKey
    from diff.action import Action
    from reconciler.cluster_client import ClusterClient, Content
    from reconciler.generate import Material

_ATTEMPTS = 5
_GONE_POLL_SECONDS = 0.2

_PLACEHOLDERS = {
    UnknownValue.OWNER_UID: "00000000-0000-4000-8000-000000000000",
    UnknownValue.REGISTRY_ADDRESS: "192.0.2.1",
    UnknownValue.REGISTRY_CA_FINGERPRINT: "0" * 64,
}
"""What stands for values that nobody can know in a dry-run: valid, and never written."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One fresh read: what the next request is conditional on."""

    content: Content

    @property
    def uid(self) -> str:
        return str(self.content["metadata"]["uid"])

    @property
    def resource_version(self) -> str:
        return str(self.content["metadata"]["resourceVersion"])


class Writer:
    """Safe for several threads, each with an action of its own.

    `objects` is what the cluster last showed of each object.
    """

    def __init__(
        self,
        client: ClusterClient,
        snapshot: Snapshot,
        generated: Mapping[ObjectKey, Generated],
        *,
        masker: Masker,
        force_conflicts: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._snapshot = snapshot
        self._generated = generated
        self._masker = masker
        self._force = force_conflicts
        self._now = now
        self._changing = Lock()
        self._objects = dict(snapshot.objects)

    def verify(self, action: Action) -> None:
        """Read only. Raises Stale when the object is not as the plan saw it."""
        self._see(action)

    def rehearse(self, action: Action) -> None:
        """Everything that `perform` would send, as dry-run.

        Raises what `perform` would raise, having written nothing.
        """
        match action.verb:
            case Verb.DELETE:
                self._conditionally(action, lambda seen: self._delete(action, seen, dry_run=True))
            case Verb.REPLACE:
                self._conditionally(action, lambda seen: self._delete(action, seen, dry_run=True))
                self._client.apply(_under_probe_name(self._rehearsed_content(action, None)), dry_run=True)
            case _ if not action.precondition.uid:
                self._create(action, self._rehearsed_content(action, None), dry_run=True)
            case _:
                self._conditionally(action, lambda seen: self._rehearse_update(action, seen))

    def perform(
        self, action: Action, *, goes_on: Callable[[], bool], about_to_create: Callable[[ObjectKey], None]
    ) -> Content | None:
        """Carry out a write. `about_to_create` is called when a replaced object is gone and before its successor is
        made.

        Raises Stale when the world moved, with nothing written; ClusterError when the server refuses.
        """
        match action.verb:
            case Verb.DELETE:
                self._conditionally(action, lambda seen: self._delete(action, seen, dry_run=False))
                self._forget(action.key)
                return None
            case Verb.REPLACE:
                content = self._replace(action, goes_on, about_to_create)
            case _ if not action.precondition.uid:
                content = self._create(action, self._content(action, None), dry_run=False)
            case _:
                content = self._conditionally(action, lambda seen: self._update(action, seen))
        self._learn(content)
        return content

    def content_of(self, key: ObjectKey) -> Mapping[str, Json] | None:
        """The object as the cluster last showed it."""
        found = self._objects.get(key)
        return found.content if found else None

    def scrub(self, key: ObjectKey, text: str) -> str:
        """What the cluster says of an object, without the secrets that stand in it, or stood there before our write.

        Controllers repeat what they were told, as in a refusal of a pod that quotes its environment.
        """
        shown = (self._snapshot.objects.get(key), self._objects.get(key))
        return self._masker.scrub(text, frozenset().union(*(secrets_in(seen.content) for seen in shown if seen)))

    # Preconditions

    def _see(self, action: Action) -> _Seen | None:
        """A fresh read that satisfies the action's precondition; None for an absence that was expected."""
        content = self._client.get(action.key)
        wanted = action.precondition
        if content is None:
            if wanted.uid:
                raise _stale(action, "it was deleted meanwhile")
            return None
        if not wanted.uid:
            raise _stale(action, "it appeared meanwhile")
        seen = _Seen(content)
        if seen.uid != wanted.uid:
            raise _stale(action, "it was deleted and created again meanwhile")
        if seen_digest(self._masker, content, action.manifest) != wanted.seen:
            raise _stale(action, "it was changed meanwhile")
        return seen

    def _conditionally(self, action: Action, send: Callable[[_Seen], Content]) -> Content:
        """Read, check, send; again while the server says "modified" and the read still shows what the plan saw."""
        for _ in range(_ATTEMPTS):
            seen = self._see(action)
            if seen is None:
                raise AssertionError(f"{action.key}: {action.verb} needs the uid of an object in its precondition")
            try:
                return send(seen)
            except Modified:
                continue
            except (UidMismatch, NotFound) as error:
                raise _stale(action, "it was deleted or created again meanwhile") from error
        raise _stale(action, f"others keep writing to it ({_ATTEMPTS} attempts)")

    # Requests

    def _create(self, action: Action, content: Content, *, dry_run: bool) -> Content:
        """Server-side apply has no create-only form: whether the object was absent is told by the answer."""
        self._see(action)
        answer = self._client.apply(content, dry_run=dry_run)
        if answer.created:
            return answer.content
        if not dry_run:
            self._give_back(content, answer.content["metadata"]["uid"])
        raise _stale(action, "it appeared meanwhile")

    def _give_back(self, content: Content, uid: str) -> None:
        """Applying nothing drops every field that we alone set on an object which somebody else created at the same
        moment.
        """
        metadata = {name: content["metadata"][name] for name in ("name", "namespace") if name in content["metadata"]}
        self._client.apply(
            {"apiVersion": content["apiVersion"], "kind": content["kind"], "metadata": metadata}, uid=uid
        )

    def _update(self, action: Action, seen: _Seen) -> Content:
        content = self._content(action, seen.content)
        if not action.removals:
            return self._apply_over(content, seen, dry_run=False)
        # Fields that others co-own stay when we stop sending them: they are taken out by name, before the apply.
        patched = self._client.merge_patch(action.key, _removal(action, content, seen))
        precondition = Precondition(seen.uid, seen_digest(self._masker, patched, action.manifest))
        rest = replace(action, removals=(), precondition=precondition)
        return self._conditionally(rest, lambda again: self._apply_over(content, again, dry_run=False))

    def _rehearse_update(self, action: Action, seen: _Seen) -> Content:
        content = self._rehearsed_content(action, seen.content)
        if not action.removals:
            return self._apply_over(content, seen, dry_run=True)
        patched = self._client.merge_patch(action.key, _removal(action, content, seen), dry_run=True)
        if action.key.group == GROUP or all(pointer.startswith("/metadata/") for pointer in action.removals):
            return self._apply_over(content, seen, dry_run=True)
        # Over what is there the server would refuse it, and no dry-run builds on another: it is tried as a new object.
        self._client.apply(_under_probe_name(content), dry_run=True)
        return patched

    def _apply_over(self, content: Content, seen: _Seen, *, dry_run: bool) -> Content:
        """Fields held by others are taken back by force when those edited by hand, and only then (unless told
        otherwise).
        """
        conditions = {"uid": seen.uid, "resource_version": seen.resource_version}
        try:
            return self._client.apply(content, **conditions, force=self._force, dry_run=dry_run).content
        except Conflict as conflict:
            if {field.manager for field in conflict.fields} & _apply_managers(seen.content):
                raise
            return self._client.apply(content, **conditions, force=True, dry_run=dry_run).content

    def _delete(self, action: Action, seen: _Seen, *, dry_run: bool) -> Content:
        self._client.delete(action.key, uid=seen.uid, resource_version=seen.resource_version, dry_run=dry_run)
        return seen.content

    def _replace(
        self, action: Action, goes_on: Callable[[], bool], about_to_create: Callable[[ObjectKey], None]
    ) -> Content:
        before = self._conditionally(action, lambda seen: self._delete(action, seen, dry_run=False))
        content = self._content(action, before)
        self._forget(action.key)
        self._await_gone(action, goes_on)
        about_to_create(action.key)
        answer = self._client.apply(content)
        if not answer.created:
            self._give_back(content, answer.content["metadata"]["uid"])
            raise _stale(action, "somebody created it again between our delete and our create")
        return answer.content

    def _await_gone(self, action: Action, goes_on: Callable[[], bool]) -> None:
        polls = int(action.readiness.timeout_seconds / _GONE_POLL_SECONDS) + 1
        for _ in range(polls):
            if self._client.get(action.key) is None:
                return
            if not goes_on():
                raise OrchestError(
                    f"{action.key}: interrupted while the old object was going; apply again to create the new one."
                )
            time.sleep(_GONE_POLL_SECONDS)
        raise OrchestError(
            f"{action.key}: the old object is still going after {action.readiness.timeout_seconds:.0f} seconds. "
            "See what holds it: kubectl get -o yaml shows its finalizers. Then apply again."
        )

    # What is sent

    def _content(self, action: Action, there: Mapping[str, Json] | None) -> Content:
        """The manifest with everything filled in that earlier actions brought into being."""
        known = known_values(self._world())
        content = _resolved(action, known)
        if (generated := self._generated.get(action.key)) is None:
            return content
        if action.verb is Verb.GENERATE or there is None:
            address = known.get(UnknownValue.REGISTRY_ADDRESS, "")
            existing = (there or {}).get("data") or {}
            return _with_material(content, generate(generated, existing, address=address, now=self._now()))
        return _with_material(content, carried_over(generated, there))

    def _rehearsed_content(self, action: Action, there: Mapping[str, Json] | None) -> Content:
        content = _resolved(action, {**_PLACEHOLDERS, **known_values(self._world())})
        if (generated := self._generated.get(action.key)) is None:
            return content
        if action.verb is Verb.GENERATE or there is None:
            return _with_material(content, stands_for(generated))
        return _with_material(content, carried_over(generated, there))

    def _world(self) -> Snapshot:
        with self._changing:
            return Snapshot(self._snapshot.cluster, self._snapshot.facts, dict(self._objects), self._snapshot.taken_at)

    def _learn(self, content: Content) -> None:
        with self._changing:
            found = observed(content)
            self._objects[found.key] = found

    def _forget(self, key: ObjectKey) -> None:
        with self._changing:
            self._objects.pop(key, None)


def _stale(action: Action, what: str) -> Stale:
    return Stale(f"{action.key}: {what}, so the plan ({action.verb}) no longer holds. Make a new plan.")


def _resolved(action: Action, known: Mapping[UnknownValue, str]) -> Content:
    if action.manifest is None:
        raise AssertionError(f"{action.key}: {action.verb} needs a manifest")
    content: Content = resolve(action.manifest.content, known)
    if has_unknown(content):
        raise OrchestError(f"{action.key}: a value that it needs does not exist yet. Plan again.")
    return content


def _with_material(content: Content, material: Material) -> Content:
    metadata = content["metadata"]
    annotations = {**(metadata.get("annotations") or {}), **material.annotations}
    return {**content, "data": dict(material.data), "metadata": {**metadata, "annotations": annotations}}


def _under_probe_name(content: Content) -> Content:
    """The same object under a name that is free, since the one to be replaced still has its own (and its address)."""
    spec = {
        name: value for name, value in (content.get("spec") or {}).items() if name not in {"clusterIP", "clusterIPs"}
    }
    probe = {**content, "metadata": {**content["metadata"], "name": f"{content['metadata']['name'][:50]}-dry-run"}}
    return {**probe, "spec": spec} if "spec" in content else probe


def _removal(action: Action, content: Content, seen: _Seen) -> dict[str, Any]:
    """A merge patch that takes out what the action removes, under the preconditions of `seen`."""
    patch = removal_patch(seen.content, content, action.removals)
    return {
        **patch,
        "metadata": {**patch.get("metadata", {}), "uid": seen.uid, "resourceVersion": seen.resource_version},
    }


def _apply_managers(content: Mapping[str, Json]) -> set[str]:
    """Names under which others maintain fields by server-side apply: theirs is a standing claim, no edit by hand.

    A conflict with our own name is one with what the original, or a patch of ours, wrote by update.
    """
    entries = content["metadata"].get("managedFields") or []
    managers = {str(entry.get("manager", "")) for entry in entries if entry.get("operation") == "Apply"}
    return managers - {FIELD_MANAGER}
