"""An apply as it happens to a world: the same order, preconditions and bookkeeping as `reconciler.apply`, without
its IO.

In: a plan, its rendering, a world. Out: one `Step` for every change of the world, so that a test may stop (a crash) or
interfere (somebody else's write) between any two. The decisions are the project's own (`refuse`, `holds`,
`reconciled_inventory`, `intended`); only the loop around them is repeated here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from desired_state.objects import Manifest
from diff import precondition
from diff.action import WRITES, Verb
from diff.known import has_unknown, known_values, resolve
from reconciler import apply as real
from reconciler import status
from reconciler.errors import Conflict, Refused
from tests.torture import server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from desired_state.masking import Masker
    from desired_state.objects import ObjectKey, Rendering
    from diff.action import Action
    from diff.plan import Plan
    from diff.snapshot import Snapshot

PERMISSIONS = real.Permissions(prune=True)


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the world: by a request that carries out a part of `action`, by bookkeeping, or by controllers."""

    world: Snapshot
    action: Action | None = None
    """The action whose request this was."""
    before: Snapshot | None = None
    """The world in which that request arrived."""


def is_refused(plan: Plan) -> bool:
    try:
        real.refuse(plan, PERMISSIONS)
    except (Refused, Conflict):
        return True
    return False


def holds(plan: Plan, world: Snapshot, masker: Masker) -> bool:
    """The reading through before the first write: every write's object must be as the plan saw it."""
    return all(precondition.holds(action, world, masker) for action in plan.actions if action.verb in WRITES)


def carry_out(
    plan: Plan,
    rendering: Rendering,
    view: Snapshot,
    world: Snapshot,
    masker: Masker,
    *,
    meanwhile: Callable[[int, Snapshot], Snapshot] = lambda _, world: world,
    order: Callable[[Sequence[Action]], Sequence[Action]] = lambda actions: actions,
) -> Iterator[Step]:
    """Step by step until the end or the first stale object. `meanwhile(n, world)` may change the world before step n.

    `view` is what the plan was made from: values, the inventory and what is ours are taken from there, as the real
    apply does.

    The caller has asked `is_refused` and, unless it plays a lost Lease, `holds`.
    """
    yield from _Applying(plan, rendering, view, world, masker, meanwhile, order).steps()


class _Stale(Exception):
    """An object is not as the plan saw it: nothing new begins."""


class _Applying:
    def __init__(  # noqa: PLR0917, private, called once
        self,
        plan: Plan,
        rendering: Rendering,
        view: Snapshot,
        world: Snapshot,
        masker: Masker,
        meanwhile: Callable[[int, Snapshot], Snapshot],
        order: Callable[[Sequence[Action]], Sequence[Action]],
    ) -> None:
        self.plan, self.world, self.masker, self.meanwhile, self.order = plan, world, masker, meanwhile, order
        self.view = view
        desired = [item.manifest.key for item in rendering.objects]
        self.inventory = status.reconciled_inventory(known_inventory(view), view, desired)
        self.count = 0

    def steps(self) -> Iterator[Step]:
        waves = [(wave, list(group)) for wave, group in groupby(self.plan.actions, key=lambda action: action.wave)]
        writes = [action for action in self.plan.actions if action.verb in WRITES]
        try:
            for wave, actions in waves:
                if wave == 0:
                    yield from self.wave(actions)
            if writes:
                self.inventory.update(status.intended(writes))
                yield from self.recorded()
            for wave, actions in waves:
                if wave > 0:
                    yield from self.wave(actions)
                    yield from self.recorded()
        except _Stale:
            pass
        yield from self.recorded()

    def wave(self, actions: Sequence[Action]) -> Iterator[Step]:
        for action in self.order([action for action in actions if action.verb in WRITES]):
            yield from self.write(action)
        if any(action.verb is not Verb.KEEP for action in actions):
            yield from self.moved(server.ready)

    def write(self, action: Action) -> Iterator[Step]:
        self.interfere()
        if not precondition.holds(action, self.world, self.masker):
            raise _Stale
        action = self.filled_in(action)
        if action.verb is Verb.REPLACE:
            yield from self.replaced(action)
            return
        before, self.world = self.world, server.written(self.world, action, self.view)
        self.learn(action.key)
        yield self.step(action, before)

    def replaced(self, action: Action) -> Iterator[Step]:
        """Two requests and a note in between: a crash may fall between any of them."""
        successor = server.written(self.world, action, self.view).objects[action.key]
        before, self.world = self.world, server.removed(self.world, action.key)
        yield self.step(action, before)
        self.inventory[action.key] = ""
        yield from self.recorded()
        self.interfere()
        if action.key in self.world.objects:
            raise _Stale
        before, self.world = self.world, server.stored(self.world, action.key, successor.content)
        self.learn(action.key)
        yield self.step(replace(action, verb=Verb.CREATE, precondition=precondition.ABSENCE), before)

    def filled_in(self, action: Action) -> Action:
        """What is sent: values come from the view and from what this apply has written since."""
        if action.manifest is None:
            return action
        content = resolve(action.manifest.content, known_values(self.view))
        if has_unknown(content):
            raise _Stale
        return replace(action, manifest=Manifest(action.key, content))

    def learn(self, key: ObjectKey) -> None:
        made = self.world.objects.get(key)
        objects = {other: item for other, item in self.view.objects.items() if other != key}
        self.view = replace(self.view, objects=objects if made is None else {**objects, key: made})
        if made is None:
            self.inventory.pop(key, None)
        elif status.is_owned(key):
            self.inventory[key] = made.uid

    def recorded(self) -> Iterator[Step]:
        yield from self.moved(self.with_inventory)

    def with_inventory(self, world: Snapshot) -> Snapshot:
        """A patch of the status of the very OrchestCluster that we know; without it there is nothing to write to."""
        owner, known = world.objects.get(world.cluster), self.view.objects.get(world.cluster)
        return (
            world
            if owner is None or known is None or owner.uid != known.uid
            else server.with_inventory(world, self.inventory)
        )

    def moved(self, change: Callable[[Snapshot], Snapshot]) -> Iterator[Step]:
        self.interfere()
        before, self.world = self.world, change(self.world)
        if self.world is not before:
            yield self.step(None, None)

    def interfere(self) -> None:
        self.world = self.meanwhile(self.count, self.world)

    def step(self, action: Action | None, before: Snapshot | None) -> Step:
        self.count += 1
        return Step(self.world, action, before)


def known_inventory(world: Snapshot) -> status.Inventory:
    owner = world.objects.get(world.cluster)
    return status.read_inventory((owner.content.get("status") if owner else None) or {})
