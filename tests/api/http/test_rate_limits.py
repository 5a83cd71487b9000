"""Rate limits of API keys, and of addresses that send wrong ones."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from api.http import rate_limits
from api.http.rate_limits import TokenBuckets
from core.settings import Settings
from tests.api.conftest import KEY, STRANGERS_KEY, bearer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_bucket_is_emptied_by_requests_and_refilled() -> None:
    clock = Clock()
    buckets = TokenBuckets(2.0, 3.0, clock)
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]
    assert buckets.take("b")
    assert buckets.rejection("a").retry_seconds == 1
    clock.now = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [True, False]
    clock.now = 100.0
    quota = buckets.quota("a")
    assert quota is not None
    assert (quota.limit, quota.remaining, quota.reset_seconds) == (3, 3, 0)


def test_least_recently_seen_caller_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_CALLERS", 2)
    buckets = TokenBuckets(0.001, 1.0, Clock())
    assert all(buckets.take(caller) for caller in "abc")
    assert not buckets.take("c")
    assert buckets.take("a")


def test_without_a_limit_nothing_is_counted() -> None:
    buckets = TokenBuckets(0, 0)
    assert all(buckets.take("a") for _ in range(1000))
    assert buckets.quota("a") is None


def test_key_beyond_its_rate_is_a_429_with_retry_after(settings: Settings, engine: Engine) -> None:
    """Other keys are not limited by it."""
    setup = settings.model_copy(update={"requests_per_second": 0.1})
    with TestClient(create_app(setup)) as client:
        first = client.get("/v1/jobs", headers=bearer(KEY))
        assert (first.headers["RateLimit-Limit"], first.headers["RateLimit-Remaining"]) == (
            "1",
            "0",
        )
        refused = client.get("/v1/jobs", headers=bearer(KEY))
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["Retry-After"]) <= 10
        assert refused.headers["RateLimit-Remaining"] == "0"
        assert client.get("/v1/jobs", headers=bearer(STRANGERS_KEY)).status_code == 200
        assert client.get("/healthz").status_code == 200


def test_address_guessing_keys_is_locked_out(settings: Settings, engine: Engine) -> None:
    """Even a right key is refused then."""
    with TestClient(create_app(settings)) as client:
        codes = [
            client.get("/v1/jobs", headers=bearer(f"dk_guess_{number}")).json()["code"]
            for number in range(25)
        ]
        assert codes == ["unauthenticated"] * 20 + ["rate_limited"] * 5
        right = client.get("/v1/jobs", headers=bearer(KEY))
        assert (right.status_code, right.headers["RateLimit-Limit"]) == (429, "20")
        assert int(right.headers["Retry-After"]) <= 3


def test_missing_key_does_not_count_as_a_guess(anonymous: TestClient) -> None:
    assert {anonymous.get("/v1/jobs").status_code for _ in range(30)} == {401}


def test_limits_of_0_are_off(settings: Settings, engine: Engine) -> None:
    setup: Any = settings.model_copy(
        update={"requests_per_second": 0, "failed_logins_per_minute": 0}
    )
    with TestClient(create_app(setup)) as client:
        assert {
            client.get("/v1/jobs", headers=bearer("dk_wrong")).status_code for _ in range(30)
        } == {401}
        response = client.get("/v1/jobs", headers=bearer(KEY))
    assert (response.status_code, "RateLimit-Limit" in response.headers) == (200, False)
