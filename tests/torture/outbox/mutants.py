"""`orchest worker` with one rule taken out: `python -m tests.torture.outbox.mutants NAME [OPTION...]`.

In: which rule. Out: a worker that breaks it, which the suite must notice.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sqlalchemy import select

import outbox.delivery.finish
from outbox.delivery.ledger import Ledger, Look
from outbox.delivery.models import DeliveryRow
from reconciler.cli import main
from tests.torture.outbox.site import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy.engine import Connection

    from outbox.delivery.finish import Move

_advance = outbox.delivery.finish.advance
_look = Ledger.look


def _advance_whoever_claims(connection: Connection, moves: Sequence[Move]) -> set[UUID]:
    """As if there were no fence: whatever claim there is now is taken for the mover's own."""
    query = select(DeliveryRow.uuid, DeliveryRow.claimed_by, DeliveryRow.attempts).where(
        DeliveryRow.uuid.in_([move.delivery for move in moves])
    )
    claims = {uuid: (worker, attempt) for uuid, worker, attempt in connection.execute(query)}
    return _advance(
        connection,
        [
            move._replace(worker=claims[move.delivery][0] or "", attempt=claims[move.delivery][1])
            for move in moves
            if move.delivery in claims
        ],
    )


def _look_for_nothing_due(self: Ledger) -> Look:
    """As if only hints told of what is due."""
    return _look(self)._replace(is_due=False)


def _take_out_the_fence() -> None:
    outbox.delivery.finish.advance = _advance_whoever_claims


def _sweep_only_what_was_hinted() -> None:
    Ledger.look = _look_for_nothing_due  # type: ignore[method-assign]


MUTATIONS = {"no-fence": _take_out_the_fence, "only-hints": _sweep_only_what_was_hinted}


def mutant(name: str) -> tuple[str, ...]:
    """The command of a worker with this mutation."""
    return (sys.executable, "-m", "tests.torture.outbox.mutants", name, "--lease", str(LEASE_SECONDS))


if __name__ == "__main__":
    MUTATIONS[sys.argv[1]]()
    sys.argv[1:] = ["worker", *sys.argv[2:]]
    main()
