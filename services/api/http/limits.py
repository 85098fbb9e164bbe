"""How often one caller may ask: so many requests a minute, per token or per address.

In: who asks. Out: nothing, or 429 with the time to wait. Counted in each process for itself: it protects the API from
a runaway script, it is no accounting. Never: a token; or a thread or a lock of its own for each caller, as libraries
for this have, since every request comes by here.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from http import HTTPStatus

from services.api.http.problems import ApiError

_WINDOW_SECONDS = 60.0


class RateLimit:
    """Safe to share between threads. Counts by windows; of the one before, the share that is less than a minute old."""

    def __init__(self, requests_a_minute: int) -> None:
        self._most = requests_a_minute
        self._lock = threading.Lock()
        self._window = 0
        self._before: Counter[str] = Counter()
        self._counted: Counter[str] = Counter()

    def check(self, who: str) -> None:
        """`who`: a caller's name, or an address. Raises ApiError 429."""
        window, passed = divmod(time.monotonic(), _WINDOW_SECONDS)
        with self._lock:
            self._turn_to(int(window))
            before, counted = self._before[who], self._counted[who]
            if before * (1 - passed / _WINDOW_SECONDS) + counted < self._most:
                self._counted[who] += 1
                return
        seconds = max(0, math.floor(_wait(before, counted, self._most) - passed)) + 1
        raise ApiError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"More than {self._most} requests a minute. Wait {seconds} seconds.",
            headers={"Retry-After": str(seconds)},
        )

    def _turn_to(self, window: int) -> None:
        if window != self._window:
            self._before = self._counted if window == self._window + 1 else Counter()
            self._counted = Counter()
            self._window = window


def _wait(before: int, counted: int, most: int) -> float:
    """Seconds from the beginning of this window until one more is allowed."""
    if counted < most:
        return _WINDOW_SECONDS * (1 - (most - counted) / before)
    return _WINDOW_SECONDS * (2 - most / counted)
