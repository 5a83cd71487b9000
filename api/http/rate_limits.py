"""Rate limits: a token bucket for each API key, and one for wrong keys from each address.

Each API process counts for itself, so several of them together allow more.
"""

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
"""Beyond these, the least recently seen caller is forgotten: it starts with a full bucket."""
BURST_SECONDS = 10.0


@dataclass(frozen=True)
class Quota:
    """How many requests a caller has left, and the seconds until its bucket is full again."""

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
    """A bucket of ``burst`` tokens for each caller, refilled at ``per_second``.

    With both 0 there is no limit. Not thread-safe.
    """

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = per_second
        self.burst = burst
        self.clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tokens of each caller, and the time of that level; least recently seen first."""

    def available(self, caller: str) -> float:
        """Return how many tokens the caller has, fractions included."""
        if not self.burst:
            return math.inf
        tokens, since = self._levels.get(caller, (self.burst, self.clock()))
        return min(self.burst, tokens + (self.clock() - since) * self.per_second)

    def take(self, caller: str) -> bool:
        """Take one token; False where there is no whole one."""
        tokens = self.available(caller)
        if self.burst and tokens >= 1:
            self._levels[caller] = (tokens - 1, self.clock())
            self._levels.move_to_end(caller)
            if len(self._levels) > MAX_CALLERS:
                self._levels.popitem(last=False)
        return tokens >= 1

    def quota(self, caller: str) -> Quota | None:
        """Return the caller's quota; None without a limit."""
        if not self.burst:
            return None
        tokens = self.available(caller)
        reset_seconds = math.ceil((self.burst - tokens) / self.per_second)
        return Quota(int(self.burst), int(tokens), reset_seconds)

    def rejection(self, caller: str) -> RateLimited:
        """Make the error that tells the caller when there will be a token."""
        return RateLimited(
            "Too many requests; try again a little later.",
            math.ceil((1 - self.available(caller)) / self.per_second),
        )


class RateLimits:
    """Limits requests by API key, and wrong API keys by address.

    An address with too many wrong keys is locked out for a while, even with a right one: otherwise
    the response would tell a guesser which guess was right.
    """

    def __init__(self, settings: Settings) -> None:
        self.requests = TokenBuckets(
            settings.requests_per_second, settings.requests_per_second * BURST_SECONDS
        )
        self.wrong_keys = TokenBuckets(
            settings.failed_logins_per_minute / 60, settings.failed_logins_per_minute
        )

    @contextmanager
    def checking_key(self, request: Request, address: str) -> Iterator[None]:
        """Count an Unauthenticated error in its body against ``address``. Raises RateLimited."""
        if self.wrong_keys.available(address) < 1:
            request.state.quota = self.wrong_keys.quota(address)
            raise self.wrong_keys.rejection(address)
        try:
            yield
        except Unauthenticated:
            self.wrong_keys.take(address)
            raise

    def charge(self, request: Request, key_id: str) -> None:
        """Count one request of an API key; its response will name the quota. Raises RateLimited."""
        granted = self.requests.take(key_id)
        request.state.quota = self.requests.quota(key_id)
        if not granted:
            raise self.requests.rejection(key_id)
