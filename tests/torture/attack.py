"""One workload under attack: every perturbation runs to its end, and what must hold is checked there.

In: a workload, a size, a seed. Out: a `Result` with the distinct tuples (perturbation, write index, view) and what
broke. A reference run without disturbance comes first; its worlds are where crashes fall and what stale views show.
What a world settles to is worked out once for each distinct world.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from desired_state.objects import Severity
from diff import plan as planner
from diff.action import WRITES, Reason, Verb
from tests.torture import foreign, server
from tests.torture.applying import carry_out, holds, is_refused
from tests.torture.promises import Identity, loose_ends, plan_faults, trespasses
from tests.torture.workloads import MASKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from desired_state.objects import ObjectKey
    from diff.action import Action
    from diff.plan import Plan
    from diff.snapshot import Snapshot
    from tests.torture.foreign import ForeignWrite
    from tests.torture.workloads import Workload

FAMILIES = (
    "crash",
    "second crash",
    "crash in another order",
    "stale view",
    "lost lease",
    "missed states",
    "another commit",
    "foreign write",
)


@dataclass(frozen=True, slots=True)
class Size:
    """How many of each family are tried for one workload, where there are more."""

    second_crashes: int
    orders: int
    stale: int
    leases: int
    missed: int
    foreign: int
    views: int


FULL = Size(second_crashes=10, orders=4, stale=1300, leases=150, missed=60, foreign=850, views=30)
SMALL = Size(second_crashes=1, orders=1, stale=150, leases=25, missed=8, foreign=64, views=30)

_One = TypeVar("_One")

Case: TypeAlias = "tuple[str, int, str]"
"""(perturbation, write index, view)."""


@dataclass(slots=True)
class Result:
    workload: str
    cases: set[Case] = field(default_factory=set)
    families: Counter[str] = field(default_factory=Counter)
    worlds: int = 0
    """Distinct worlds that were planned for."""
    requests: int = 0
    """Writes that were carried out."""
    refused: int = 0
    """Plans that were refused as stale."""
    problems: dict[str, str] = field(default_factory=dict)
    """The first case of each distinct problem."""


class _Settled(NamedTuple):
    """A world after everything was done that the planner wants done."""

    world: Snapshot
    writes: int
    excused: frozenset[ObjectKey]
    problems: tuple[str, ...]


class _Moment(NamedTuple):
    """A world of the reference run, and how many requests led to it."""

    world: Snapshot
    writes: int


class _Tried(NamedTuple):
    world: Snapshot
    writes: int
    problems: tuple[str, ...]
    is_refused: bool


_MOST_ROUNDS = 6
_DETERMINISM_SAMPLE = 16
_LONG_RUN = 12


def _lost(write: ForeignWrite, key: ObjectKey) -> ObjectKey | None:
    """What ends otherwise, and rightly: nobody knows any more which fields of a recreated object were ours; and a claim
    that was deleted comes back as Git asks, where the old one had kept what cannot be changed."""
    is_lost = write is foreign.RECREATE_OURS or (write is foreign.DELETE and key.kind == "PersistentVolumeClaim")
    return key if is_lost else None


def _extra(write: ForeignWrite, key: ObjectKey) -> int:
    """A workload without its mark, whose uid the crash kept out of the inventory, is replaced: one write more."""
    return int(write is foreign.STRIP_MARK and key.kind in {"Deployment", "DaemonSet"})


def _problems_of(write: ForeignWrite, tried: _Tried) -> list[str]:
    """The plan was made with the inventory: who wipes it under a running apply stops no delete of that plan."""
    is_wiped = write is foreign.LOSE_INVENTORY
    return [
        problem for problem in tried.problems if not (is_wiped and problem.endswith("of an object that is not ours"))
    ]


class Attack:
    def __init__(self, subject: Workload, size: Size, seed: int) -> None:
        self.subject = subject
        self.size, self.seed = size, seed
        self.result = Result(subject.name)
        self.wanted = frozenset(item.manifest.key for item in self.subject.rendering.objects)
        self.adopted = frozenset(
            key for key, item in subject.initial.objects.items() if not item.content["metadata"].get("managedFields")
        )
        self.identity = Identity()
        self.plans: dict[int, Plan] = {}
        self.ends: dict[int, _Settled] = {}
        self.moments = self.reference()
        self.end = self.settled(self.moments[-1].world)
        self.total = self.moments[-1].writes + self.end.writes

    def run(self, families: Iterable[str] = FAMILIES) -> Result:
        attacks: dict[str, Callable[[], None]] = {
            "crash": self.crashes,
            "second crash": self.second_crashes,
            "crash in another order": self.crashes_in_other_orders,
            "stale view": self.stale_views,
            "lost lease": self.lost_leases,
            "missed states": self.missed_states,
            "another commit": self.other_commits,
            "foreign write": self.foreign_writes,
        }
        self.judge(("reference", len(self.moments), "own"), self.moments[-1].world, self.moments[-1].writes)
        self.note(("reference", 0, "own"), self.detours())
        if self.end.writes:
            self.note(("reference", 0, "own"), ["a plan after its own apply is not empty"])
        for family in families:
            before = len(self.result.cases)
            attacks[family]()
            self.result.families[family] += len(self.result.cases) - before
        return self.result

    # The reference run

    def reference(self) -> list[_Moment]:
        """Undisturbed, from the first world to the last; with a person's mend first where the plan is refused."""
        world = self.subject.initial
        moments = [_Moment(world, 0)]
        if is_refused(self.plan_of(world)):
            world = self.mended(world)
            moments.append(_Moment(world, 0))
        writes = 0
        for step in carry_out(self.plan_of(world), self.subject.rendering, world, world, MASKER):
            self.note(("reference", len(moments), "own"), trespasses(step, MASKER))
            writes += step.action is not None
            moments.append(_Moment(step.world, writes))
        return moments

    def detours(self) -> Iterator[str]:
        """Where the way here led elsewhere than a new installation. Claims keep what cannot change."""
        ends, ideal = (dict(self.identity.form(world, frozenset())) for world in (self.end.world, self.subject.ideal))
        for key in self.wanted | {self.subject.initial.cluster}:
            if key.kind != "PersistentVolumeClaim" and ends.get(key) != ideal.get(key):
                yield f"{key}: not what a new installation would have"

    # Perturbations

    def crashes(self) -> None:
        for index, moment in enumerate(self.moments):
            self.judge(("crash", index, "own"), moment.world, moment.writes)

    def second_crashes(self) -> None:
        """The run that recovers from a crash crashes too, after each of its steps."""
        for index in self.sampled("second", range(len(self.moments)), self.size.second_crashes):
            self.crash_everywhere(f"second crash after {index}", self.moments[index], lambda actions: actions)

    def crashes_in_other_orders(self) -> None:
        """Writes of one wave are in flight together: a crash may find any of them done."""
        for number in range(self.size.orders):
            random = Random(f"{self.seed}/{self.subject.name}/{number}")

            def shuffled(actions: Sequence[Action], random: Random = random) -> Sequence[Action]:
                return random.sample(actions, len(actions))

            start = next(moment for moment in self.moments if not is_refused(self.plan_of(moment.world)))
            self.crash_everywhere(f"crash, order {number}", start, shuffled)

    def crash_everywhere(
        self, name: str, start: _Moment, order: Callable[[Sequence[Action]], Sequence[Action]]
    ) -> None:
        writes, plan = start.writes, self.plan_of(start.world)
        if is_refused(plan):
            return
        for index, step in enumerate(
            carry_out(plan, self.subject.rendering, start.world, start.world, MASKER, order=order)
        ):
            self.note((name, index, "own"), trespasses(step, MASKER))
            self.count(step.action is not None)
            writes += step.action is not None
            self.judge((name, index, "own"), step.world, writes)

    def stale_views(self) -> None:
        """A plan made for an older world meets a newer one: refused, or harmless."""
        pairs = [(index, view) for index in range(len(self.moments)) for view in range(index)]
        for index, view in self.sampled("stale", pairs, self.size.stale):
            self.meet(("stale view", index, str(view)), self.moments[index], view, verified=True)

    def lost_leases(self) -> None:
        """The same without the reading through at the start: each request stands alone under its own precondition."""
        pairs = [(index, view) for index in range(len(self.moments)) for view in range(index)]
        for index, view in self.sampled("lease", pairs, self.size.leases):
            self.meet(("lost lease", index, str(view)), self.moments[index], view, verified=False)

    def missed_states(self) -> None:
        """A planner that remembers one world and then sees a later one plans as if it had seen everything, or
        nothing."""
        pairs = [(index, view) for index in range(len(self.moments)) for view in range(index)]
        for index, view in self.sampled("missed", pairs, self.size.missed):
            rendering, now = self.subject.rendering, self.moments[index].world
            _, memory = planner.replan(rendering, self.moments[view].world, planner.Memory(), masker=MASKER)
            again, _ = planner.replan(rendering, now, memory, masker=MASKER)
            case = ("missed states", index, str(view))
            self.note(case, ["remembering changes the plan"] if again != self.plan_of(now) else [])
            self.result.cases.add(case)

    def other_commits(self) -> None:
        """After a crash Git asks for something else: what was begun is finished or taken away, nothing is left
        behind."""
        rival = Attack(replace(self.subject, rendering=self.subject.rival), self.size, self.seed)
        for index, moment in enumerate(self.moments):
            case = ("another commit", index, "own")
            self.result.cases.add(case)
            settled = rival.settled(moment.world)
            # Claims stay, and of what others made nobody knows which fields may go.
            kept = frozenset(key for key in settled.world.objects if key.kind == "PersistentVolumeClaim") | self.adopted
            self.note(case, settled.problems)
            # A warning excuses what others made. What we made ourselves must be known as ours, whenever the crash came.
            strangers = settled.excused & (self.subject.bystanders | self.adopted)
            self.note(case, loose_ends(settled.world, rival.subject, strangers))
            if different := rival.different(settled.world, settled.excused | rival.end.excused | kept, None):
                self.note(case, [f"ends in another world: {', '.join(different)}"])

    def foreign_writes(self) -> None:
        """Somebody else writes before each step: while the apply runs, and between a crash and a plan from an older
        view."""
        cases = [
            (index, write, key)
            for index, moment in enumerate(self.moments)
            for key, item in moment.world.objects.items()
            if key not in self.subject.bystanders and key != server.CLOCK
            for write in foreign.WRITES
            if write.applies_to(item)
        ]
        # Each costs a run as long as the reference run: longer ones get fewer, and more views of each.
        most = self.size.foreign // (1 + len(self.moments) // _LONG_RUN)
        for index, write, key in self.sampled("foreign", cases, most):
            self.interfere(index, write, key)
            self.write_after_crash(index, write, key)

    def interfere(self, index: int, write: ForeignWrite, key: ObjectKey) -> None:
        """The write falls into the running apply: what it did not touch goes on, what it did is refused."""
        start = next(at for at, moment in enumerate(self.moments) if not is_refused(self.plan_of(moment.world)))
        if index < start:
            return
        pending = [index - start]

        def meanwhile(count: int, world: Snapshot) -> Snapshot:
            if not pending or count != pending[0] or key not in world.objects:
                return world
            pending.clear()
            return write.change(world, key)

        first = self.moments[start].world
        tried = self.tried(first, first, verified=True, meanwhile=meanwhile)
        case = (f"{write.name} {key} while applying", index, "own")
        self.note(case, _problems_of(write, tried))
        is_harmless = self.is_harmless(write, key, self.plan_of(first))
        allowed = 0 if is_harmless else self.cost(write, key)
        self.judge(
            case,
            tried.world,
            tried.writes,
            allowed=allowed,
            key=key,
            lost=_lost(write, key),
        )
        if is_harmless and self.settled(tried.world).writes:
            self.note(case, ["a harmless write made the plan stale"])

    def is_harmless(self, write: ForeignWrite, key: ObjectKey, made: Plan) -> bool:
        """Beside our fields; but of an object that is deleted, or kept as it is, every field counts."""
        whole = {action.key for action in made.actions if action.manifest is None}
        return write.name in foreign.HARMLESS and not (write is foreign.SET_ENV and key in whole)

    def write_after_crash(self, index: int, write: ForeignWrite, key: ObjectKey) -> None:
        moment = self.moments[index]
        changed = write.change(moment.world, key)
        name, allowed = f"{write.name} {key} after a crash", self.cost(write, key) + _extra(write, key)
        lost = _lost(write, key)
        self.judge((name, index, "own"), changed, moment.writes, allowed=allowed, key=key, lost=lost)
        views = range(index + 1)
        for view in self.sampled(f"{name}{index}", views, self.size.views):
            case, now = (name, index, str(view)), _Moment(changed, moment.writes)
            self.meet(case, now, view, verified=True, allowed=allowed, key=key, lost=lost)

    # Running and judging

    def meet(
        self,
        case: Case,
        moment: _Moment,
        view: int,
        *,
        verified: bool,
        allowed: int = 0,
        key: ObjectKey | None = None,
        lost: ObjectKey | None = None,
    ) -> None:
        tried = self.tried(self.moments[view].world, moment.world, verified=verified)
        self.result.refused += tried.is_refused
        self.note(case, tried.problems)
        self.judge(case, tried.world, moment.writes + tried.writes, allowed=allowed, key=key, lost=lost)

    def tried(
        self,
        view: Snapshot,
        world: Snapshot,
        *,
        verified: bool,
        meanwhile: Callable[[int, Snapshot], Snapshot] = lambda _, world: world,
    ) -> _Tried:
        plan = self.plan_of(view)
        if is_refused(plan) or (verified and not holds(plan, world, MASKER)):
            return _Tried(world, 0, (), is_refused=True)
        writes, problems = 0, list[str]()
        for step in carry_out(plan, self.subject.rendering, view, world, MASKER, meanwhile=meanwhile):
            problems.extend(trespasses(step, MASKER))
            self.count(step.action is not None)
            writes += step.action is not None
            world = step.world
        return _Tried(world, writes, tuple(problems), is_refused=False)

    def judge(
        self,
        case: Case,
        world: Snapshot,
        writes: int,
        *,
        allowed: int = 0,
        key: ObjectKey | None = None,
        lost: ObjectKey | None = None,
    ) -> None:
        """From `world` on nobody disturbs: it must become the reference world, with no more writes than `allowed`.

        `key` is what somebody else wrote to, `lost` the same when nobody can know any more which of its fields were
        ours.
        """
        self.result.cases.add(case)
        settled = self.settled(world)
        self.note(case, settled.problems)
        total = writes + settled.writes
        if total > self.total + allowed:
            self.note(case, [f"wrote more than the reference run ({total} instead of {self.total} + {allowed})"])
        if key is None and total != self.total:
            self.note(case, [f"wrote {total} times instead of {self.total}"])
        excused = settled.excused | (frozenset([key]) - self.wanted if key else frozenset())
        self.note(case, loose_ends(settled.world, self.subject, excused))
        different = self.different(settled.world, excused, lost)
        if different:
            self.note(case, [f"ends in another world: {', '.join(different)}"])

    def settled(self, world: Snapshot) -> _Settled:
        name = self.identity.exact(world)
        if name not in self.ends:
            self.ends[name] = self.settle(world)
        return self.ends[name]

    def settle(self, world: Snapshot) -> _Settled:
        writes, applies, mends = 0, 0, 0
        problems: list[str] = []
        for _ in range(_MOST_ROUNDS):
            plan = self.plan_of(world)
            if is_refused(plan):
                mends += 1
                world = self.mended(world)
                continue
            if not any(action.verb in WRITES or action.verb is Verb.WAIT for action in plan.actions):
                world = self.tried(
                    world, world, verified=False
                ).world  # An apply of nothing still keeps the inventory true.
                break
            # An unbound claim grows when it is bound: the one thing that needs a second apply.
            mends += any(note.code == Reason.NOT_EXPANDABLE for note in plan.notes) or any(
                action.reason is Reason.NOT_EXPANDABLE for action in plan.actions
            )
            if not holds(plan, world, MASKER):
                problems.append("a fresh plan does not hold in its own world")
            tried = self.tried(world, world, verified=False)
            applies += not plan.is_empty
            writes, world = writes + tried.writes, tried.world
            problems.extend(tried.problems)
        else:
            problems.append("does not come to rest")
        if applies > 1 + mends:
            problems.append(f"needed {applies} applies")
        excused = frozenset(key for key in world.objects if str(key) in {note.path for note in plan.notes})
        return _Settled(world, writes, excused, tuple(problems))

    def plan_of(self, world: Snapshot) -> Plan:
        name = self.identity.exact(world)
        if name not in self.plans:
            rendering = self.subject.rendering
            made = self.plans[name] = planner.plan(rendering, world, masker=MASKER)
            self.result.worlds += 1
            self.note(("plan", 0, "own"), plan_faults(made))
            if self.result.worlds % _DETERMINISM_SAMPLE == 0:
                other = replace(world, objects=dict(reversed(list(world.objects.items()))))
                turned = replace(rendering, objects=tuple(reversed(rendering.objects)))
                again = planner.plan(turned, other, masker=MASKER)
                self.note(("plan", 0, "own"), ["the plan depends on the order of its input"] if again != made else [])
        return self.plans[name]

    def mended(self, world: Snapshot) -> Snapshot:
        """What a person does about each refusal, as its text says."""
        plan = self.plan_of(world)
        refusals = {(note.path, note.code) for note in plan.notes if note.severity is Severity.REFUSAL}
        conflicts = {(str(action.key), "conflict") for action in plan.actions if action.conflicts}
        names = {str(key): key for key in world.objects}
        for path, code in sorted(refusals | conflicts):
            if path in names:
                world = foreign.mended(world, names[path], code)
        return world

    def cost(self, write: ForeignWrite, key: ObjectKey) -> int:
        """How many writes repair this when it is done to the finished world."""
        item = self.end.world.objects.get(key)
        return self.settled(write.change(self.end.world, key)).writes if item and write.applies_to(item) else 0

    def different(self, world: Snapshot, excused: frozenset[ObjectKey], lost: ObjectKey | None) -> list[str]:
        excused |= frozenset([lost] if lost else [])
        ends, wanted = (self.identity.form(each, excused) for each in (world, self.end.world))
        return [] if ends == wanted else sorted({str(key) for key, _ in ends ^ wanted})

    def sampled(self, what: str, cases: Sequence[_One], most: int) -> Iterator[_One]:
        random = Random(f"{self.seed}/{self.subject.name}/{what}")
        yield from cases if len(cases) <= most else random.sample(cases, most)

    def note(self, case: Case, problems: Iterable[str]) -> None:
        for problem in problems:
            self.result.problems.setdefault(problem, f"{self.subject.name}: {case[0]} at {case[1]}, view {case[2]}")

    def count(self, is_request: bool) -> None:
        self.result.requests += is_request
