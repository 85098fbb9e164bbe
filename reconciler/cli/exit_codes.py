"""What `orchest` returns to the shell; scripts depend on these numbers."""

from __future__ import annotations

from enum import IntEnum

from reconciler.errors import OrchestError


class ExitCode(IntEnum):
    DONE = 0
    """Done, or no changes."""
    ERROR = 1
    CHANGES = 2
    """Changes are present (`--detailed-exitcode`)."""
    STALE = 3
    """The plan was made for another state of the world."""
    CONFLICT = 4
    """Another server-side apply manager holds a field."""
    REFUSED = 5
    """A safety rule said no."""
    USAGE = 64
    INTERRUPTED = 130


_USERS_ERRORS = {
    "desired_state.errors": "DesiredStateError",
    "outbox.analytics": "AnalyticsError",
    "outbox.errors": "DatabaseError",
    "outbox.events.errors": "EventError",
    "outbox.key_ring": "KeyRingError",
    "outbox.delivery.guard": "NetworkError",
    "outbox.subscribers.errors": "SubscriberError",
    "outbox.worker": "WorkerError",
}
"""Errors of layers that know nothing of exit codes: the base of each, by name, so that none is imported in vain."""


def exit_code_of(error: Exception) -> int | None:
    """The code for an error that a user can mend; None for a defect of ours, which deserves its traceback."""
    if isinstance(error, OrchestError):
        return error.exit_code
    ours = any(_USERS_ERRORS.get(base.__module__) == base.__name__ for base in type(error).__mro__)
    return ExitCode.ERROR if ours else None
