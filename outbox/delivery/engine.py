"""The one place that acts on deliveries: claims what is due, has it sent, hands in what came of it, sweeps.

In: a database, a sender per kind of subscriber. Out: requests and rows. Never: a decision (`state`, `endpoint`, `lanes`
make them), a transaction held open over a request, or a need for Redis: a hint only makes it look sooner.

One asyncio loop in one thread. The requests run in it, all at once up to the number of slots; SQL runs in two threads
beside it, one for exchanges and one for sweeps. An exchange hands in the finished requests and claims the next in one
transaction. There is one at a time, so whatever ends meanwhile goes into the next: batches are as large as the database
is slow, and a lone event waits for nobody.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import uvloop
from sqlalchemy import exc

from outbox.delivery.finish import Policies, Report
from outbox.delivery.ledger import Ledger
from outbox.delivery.metrics import Metrics
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.retention import forget
from outbox.delivery.sender import Parcel
from outbox.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from uuid import UUID

    from outbox.database import Database
    from outbox.delivery.claim import Claimed
    from outbox.delivery.ledger import Exchange
    from outbox.delivery.sender import Sender
    from outbox.delivery.state import Lane
    from outbox.key_ring import KeyRing
    from outbox.subscribers.destination import Destination

_BEAT_SECONDS = 0.5
_SWEEP_JITTER = 0.1
_REST_SHARE = 0.5
"""Of the time that an exchange took, before the next: meanwhile requests end, so under load batches grow."""
_LONGEST_REST_SECONDS = 0.02
_BUSY_SECONDS = 0.01
"""Until the next look at an endpoint that another worker has locked."""
_FIRST_BACK_OFF_SECONDS = 0.1
_LONGEST_BACK_OFF_SECONDS = 5.0
_FORGET_SECONDS = 60.0
_LAST_WORDS_SECONDS = 3.0
"""At the end, for the last reports and the leases, even after the deadline."""
_UNREADABLE = (
    "Not sent: its stored secrets cannot be decrypted. Add the key they were stored under: ORCHEST_SECRET_KEYS."
)
_UNKNOWN_KIND = "Not sent: this worker has no sender for it; a newer release may have, or it was switched off."
_DEFECT = "Not sent: the sender failed. The worker's log has the details."

_T = TypeVar("_T")
_draw = random.Random().random  # noqa: S311 - jitter keeps no secret

_log = logging.getLogger("outbox.engine")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    slots: int = 512
    """Requests under way at once; at least `lanes.LEAST_SLOTS`."""
    policies: Policies = field(default_factory=Policies)
    sweep_seconds: float = 1.0
    keep: timedelta | None = timedelta(days=30)
    """For how long finished deliveries and their events are kept; None: for ever."""


class Engine:
    """`run` in a thread of its own; `wake`, `stop` and `last_beat` from any thread."""

    def __init__(
        self,
        database: Database,
        senders: Mapping[str, Sender],
        key_ring: KeyRing,
        settings: EngineSettings,
        on_end: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        """`senders` by kind of subscriber; `on_end` is awaited in the engine's loop when no request is left."""
        self.worker = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"
        self.metrics = Metrics()
        self.last_beat = time.monotonic()
        self._database = database
        self._senders = senders
        self._settings = settings
        self._on_end = on_end
        self._ledger = Ledger(
            database,
            key_ring,
            worker=self.worker,
            slots=settings.slots,
            policies=settings.policies,
            batch_sizes={kind: sender.batch_size for kind, sender in senders.items()},
            draw=_draw,
        )
        self._lease_seconds = settings.policies.lease.total_seconds()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadline: float | None = None
        self._work = asyncio.Event()
        self._reports: list[Report] = []
        self._waking: list[threading.Event] = []
        self._under_way: Counter[Lane] = Counter()
        self._requests: set[asyncio.Task[None]] = set()
        self._exchanges = ThreadPoolExecutor(1, "exchange")
        self._sweeps = ThreadPoolExecutor(1, "sweep")

    def run(self) -> None:
        """Returns after `stop`. Raises only for a defect: what the database says is logged, and tried again."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    def wake(self) -> threading.Event:
        """Something may be due. The event is set when the rows due now are claimed, as far as there is room."""
        claimed = threading.Event()
        loop = self._loop
        try:
            if loop is None:
                claimed.set()  # not begun, and then it looks by itself; or at its end
            else:
                loop.call_soon_threadsafe(self._on_wake, claimed)
        except RuntimeError:  # closed between the two lines
            claimed.set()
        return claimed

    def stop(self, deadline: float) -> None:
        """Claim nothing more, finish what is under way until `deadline` (monotonic seconds), give the rest back."""
        self._deadline = deadline
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._work.set)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._work.set()
        try:
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(self._beat()), group.create_task(self._sweep_for_ever())]
                await self._deliver()
                for task in beside:
                    task.cancel()
            await self._wind_down(self._deadline or 0.0)
            for end in self._on_end:
                await end()
        finally:
            self._loop = None
            self._release_wakers()
            # A transaction that has begun ends before whoever owns the database closes it.
            self._exchanges.shutdown()
            self._sweeps.shutdown()

    async def _beat(self) -> None:
        while True:
            self.last_beat = time.monotonic()
            await asyncio.sleep(_BEAT_SECONDS)

    async def _deliver(self) -> None:
        """Until `stop`: one exchange after the other, with a rest between two that depends on the first."""
        rest = 0.0
        errors = 0
        while True:
            await self._work.wait()
            await asyncio.sleep(rest)
            self._work.clear()
            if self._deadline is not None:
                return
            began = time.monotonic()
            errors = 0 if await self._exchange() else errors + 1
            took = time.monotonic() - began
            rest = min(took * _REST_SHARE, _LONGEST_REST_SECONDS) if not errors else _back_off(errors)

    async def _exchange(self) -> bool:
        """False when the database could not be used: all is kept for the next time."""
        reports, self._reports = self._reports, []
        wakers, self._waking = self._waking, []
        began = time.monotonic()
        try:
            exchange = await _in(self._exchanges, self._ledger.exchange, reports, Counter(self._under_way))
        except (DatabaseError, exc.SQLAlchemyError) as error:
            self._waking = wakers + self._waking
            self._work.set()
            await self._keep(reports, error)
            return False
        self.metrics.exchanged(reports, exchange, time.monotonic() - began)
        self._begin(exchange, began + self._lease_seconds)
        self._reports += exchange.kept
        for waker in wakers:
            waker.set()
        if exchange.looks_again:
            self._work.set()
        elif exchange.kept:
            asyncio.get_running_loop().call_later(_BUSY_SECONDS, self._work.set)
        return True

    async def _keep(self, reports: list[Report], error: Exception) -> None:
        """After an error nobody knows whether the commit came before it; the fence makes repeating harmless.

        What the database refuses for its content would be refused for ever, and others with it: then one by one.
        """
        self.metrics.database_errors.inc()
        _log.warning("the database cannot be used now", extra={"reason": _reason(error)})
        if _is_about_content(error):
            reports = [report for report in reports if not await self._is_refused(report)]
        self._reports = reports + self._reports

    async def _is_refused(self, report: Report) -> bool:
        """Hands in one report by itself. One that stays refused is given up: its lease runs out."""
        try:
            exchange = await _in(self._exchanges, self._ledger.exchange, [report], None)
        except DatabaseError:
            return False
        except exc.SQLAlchemyError as error:
            _log.error("a report was refused, its lease will run out", extra={"reason": _reason(error)})
            return True
        return not exchange.kept

    def _begin(self, exchange: Exchange, lease_ends: float) -> None:
        for claims in self._batches(exchange.claims, exchange.destinations):
            lane, destination = claims[0].lane, exchange.destinations.get(claims[0].subscriber)
            self._under_way[lane] += 1
            task = asyncio.get_running_loop().create_task(self._attempt(claims, destination, lease_ends))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    def _batches(
        self, claims: Sequence[Claimed], destinations: Mapping[UUID, Destination]
    ) -> Iterator[tuple[Claimed, ...]]:
        """What each request carries."""
        by_subscriber: dict[UUID, list[Claimed]] = defaultdict(list)
        for claim in claims:
            by_subscriber[claim.subscriber].append(claim)
        for subscriber, ones in by_subscriber.items():
            destination = destinations.get(subscriber)
            sender = self._senders.get(destination.kind) if destination is not None else None
            size = sender.batch_size if sender is not None else 1
            for start in range(0, len(ones), size):
                yield tuple(ones[start : start + size])

    async def _attempt(self, claims: tuple[Claimed, ...], destination: Destination | None, lease_ends: float) -> None:
        started_at = datetime.now(UTC)
        try:
            if time.monotonic() >= lease_ends:
                return  # this process stood still; by now they are another worker's
            outcome = await self._send(claims, destination, started_at)
            self._reports.append(Report(claims, started_at, outcome))
            self._work.set()
        finally:
            self._under_way[claims[0].lane] -= 1

    async def _send(self, claims: tuple[Claimed, ...], destination: Destination | None, now: datetime) -> Outcome:
        if destination is None:
            return Outcome(Result.REFUSED, _UNREADABLE)
        sender = self._senders.get(destination.kind)
        if sender is None:
            return Outcome(Result.REFUSED, _UNKNOWN_KIND)
        parcels = [Parcel(one.delivery, one.attempt, one.event_type, one.payload, destination) for one in claims]
        try:
            return await sender.send(parcels, now)
        except Exception:  # noqa: BLE001 - one bad parcel must not end the process; it is recorded as refused
            _log.exception("a sender failed", extra={"delivery": str(claims[0].delivery)})
            return Outcome(Result.REFUSED, _DEFECT)

    async def _sweep_for_ever(self) -> None:
        forgot_at = time.monotonic()
        while True:
            try:
                await self._sweep()
                if self._settings.keep is not None and time.monotonic() - forgot_at >= _FORGET_SECONDS:
                    forgot_at = time.monotonic()
                    await _in(self._sweeps, forget, self._database, self._settings.keep)
            except (DatabaseError, exc.SQLAlchemyError) as error:
                self.metrics.database_errors.inc()
                _log.warning("the sweep waits for the database", extra={"reason": _reason(error)})
            await asyncio.sleep(self._settings.sweep_seconds * (1 + _SWEEP_JITTER * _draw()))

    async def _sweep(self) -> None:
        look = await _in(self._sweeps, self._ledger.look)
        self.metrics.sweeps.inc()
        if any(look.to_sweep):
            self.metrics.swept(await _in(self._sweeps, self._ledger.sweep))
        if look.is_due or any(look.to_sweep):
            self._work.set()

    async def _wind_down(self, deadline: float) -> None:
        while self._requests and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait(self._requests, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            await self._hand_in()
        for request in self._requests:
            request.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)
        last_moment = max(deadline, time.monotonic()) + _LAST_WORDS_SECONDS
        while not await self._say_goodbye() and time.monotonic() < last_moment:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_FIRST_BACK_OFF_SECONDS)

    async def _hand_in(self) -> None:
        reports, self._reports = self._reports, []
        try:
            exchange = await _in(self._exchanges, self._ledger.exchange, reports, None)
        except (DatabaseError, exc.SQLAlchemyError) as error:
            await self._keep(reports, error)
            return
        self._reports += exchange.kept
        self.metrics.exchanged(reports, exchange, 0.0)

    async def _say_goodbye(self) -> bool:
        await self._hand_in()
        if self._reports:
            return False
        try:
            released = await _in(self._exchanges, self._ledger.release)
        except (DatabaseError, exc.SQLAlchemyError) as error:
            _log.warning("the database cannot be used now", extra={"reason": _reason(error)})
            return False
        if released:
            _log.info("gave back what was not finished", extra={"deliveries": released})
        return True

    def _on_wake(self, claimed: threading.Event) -> None:
        self.metrics.hints.inc()
        self._waking.append(claimed)
        self._work.set()

    def _release_wakers(self) -> None:
        for waker in self._waking:
            waker.set()
        self._waking = []


async def _in(pool: ThreadPoolExecutor, function: Callable[..., _T], *arguments: object) -> _T:
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


def _is_about_content(error: Exception) -> bool:
    """The database works, and refuses these very values."""
    return isinstance(error, exc.IntegrityError | exc.DataError)


def _reason(error: Exception) -> str:
    """The first line: our own messages are one, and the others repeat the statement in the rest."""
    return str(error).partition("\n")[0]


def _back_off(errors: int) -> float:
    """Seconds."""
    longest = min(_LONGEST_BACK_OFF_SECONDS, _FIRST_BACK_OFF_SECONDS * 2.0 ** min(errors - 1, 16))
    return longest * (0.5 + _draw() / 2)
