"""How often a caller may ask: token buckets. Each API process counts for itself, so several of them together allow more."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request

from api.http.problems import RateLimited
from core.errors import Unauthenticated
from core.settings import Settings

MAX_CALLERS = 10_000
"""Of more than these the one that was not heard of for the longest is forgotten: it begins anew, with a full bucket."""
BURST_SECONDS = 10.0


@dataclass(frozen=True)
class Quota:
    """What a caller has left, as whole requests, and the seconds until it has everything again."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


class TokenBuckets:
    """A bucket of ``burst`` tokens for each caller, filled with ``per_second``. Both 0: none is ever empty. Not for threads."""

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second, self.burst, self.clock = per_second, burst, clock
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def available(self, caller: str) -> float:
        if not self.burst:
            return math.inf
        left, at = self._seen.get(caller, (self.burst, self.clock()))
        return min(self.burst, left + (self.clock() - at) * self.per_second)

    def take(self, caller: str) -> bool:
        """A token, if there is a whole one."""
        left = self.available(caller)
        if self.burst and left >= 1:
            self._seen[caller] = (left - 1, self.clock())
            self._seen.move_to_end(caller)
            if len(self._seen) > MAX_CALLERS:
                self._seen.popitem(last=False)
        return left >= 1

    def quota(self, caller: str) -> Quota | None:
        """None without a limit."""
        if not self.burst:
            return None
        left = self.available(caller)
        return Quota(int(self.burst), int(left), math.ceil((self.burst - left) / self.per_second))

    def refusal(self, caller: str) -> RateLimited:
        return RateLimited(
            "Too many requests; try again a little later.",
            math.ceil((1 - self.available(caller)) / self.per_second),
        )


class RateLimits:
    """Requests by key, and wrong keys by address: whoever guesses too often is not heard for a while, right guess or wrong."""

    def __init__(self, settings: Settings) -> None:
        self.requests = TokenBuckets(
            settings.requests_per_second, settings.requests_per_second * BURST_SECONDS
        )
        self.wrong_keys = TokenBuckets(
            settings.failed_logins_per_minute / 60, settings.failed_logins_per_minute
        )

    @contextmanager
    def checking_key(self, request: Request, address: str) -> Iterator[None]:
        """Around the look at a key. Raises RateLimited."""
        if self.wrong_keys.available(address) < 1:
            request.state.quota = self.wrong_keys.quota(address)
            raise self.wrong_keys.refusal(address)
        try:
            yield
        except Unauthenticated:
            self.wrong_keys.take(address)
            raise

    def charge(self, request: Request, key_id: str) -> None:
        """One request of the key; the answer will say how many are left. Raises RateLimited."""
        granted = self.requests.take(key_id)
        request.state.quota = self.requests.quota(key_id)
        if not granted:
            raise self.requests.refusal(key_id)
