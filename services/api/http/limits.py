"""How often one caller may ask: so many requests a minute, per token or per address.

In: who asks. Out: nothing, or 429 with the time to wait. Counted in each process for itself: it protects the API from
a runaway script, it is no accounting. Never: a token.
"""

from __future__ import annotations

import math
import time
from http import HTTPStatus

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from services.api.http.problems import ApiError


class RateLimit:
    def __init__(self, requests_a_minute: int) -> None:
        self._item: RateLimitItem = RateLimitItemPerMinute(requests_a_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check(self, who: str) -> None:
        """`who`: a caller's name, or an address. Raises ApiError 429."""
        if self._limiter.hit(self._item, who):
            return
        reset = self._limiter.get_window_stats(self._item, who).reset_time
        seconds = max(1, math.ceil(reset - time.time()))
        raise ApiError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"More than {self._item.amount} requests a minute. Wait {seconds} seconds.",
            headers={"Retry-After": str(seconds)},
        )
